"""A disk that takes no more: a write is refused as such, nothing of it is done, and the next one is."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.server.serving import JSON, Client, Reply, assert_problem, running, settings


def put(client: Client, id_: str, text: str) -> Reply:
    body = json.dumps({"records": [{"id": id_, "text": text}]}).encode()
    return client.request("PUT", "/v1/passages", body, JSON)


@contextmanager
def no_larger_files(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_without_room_is_507_and_leaves_nothing(small_bundle: Path, tmp_path: Path) -> None:
    bundle = shutil.copytree(small_bundle, tmp_path / "w.lurcher")
    with running(settings(bundle, writable=True)) as client:
        assert put(client, "before", "a narwhal").status == 200
        size = int(client.metric("lurcher_write_log_bytes"))
        with no_larger_files(size + 100):
            problem = assert_problem(put(client, "half", "a walrus " * 100), 507)
        assert "cannot be written" in problem["detail"]
        assert_problem(client.get("/v1/passages/half"), 404)
        assert client.metric("lurcher_write_log_bytes") == size
        assert client.metric('lurcher_rejected_writes_total{reason="disk"}') == 1
        after = put(client, "after", "a manatee")
        assert (after.status, after.json()["sequence"]) == (200, 2)
    with running(settings(bundle, writable=True)) as client:
        assert client.get("/v1/passages/after").status == 200
        assert_problem(client.get("/v1/passages/half"), 404)
