"""A server whose bundle another server writes: it shows what is acknowledged, and waits for what is asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.serving import JSON, Client, assert_problem, running, settings


@pytest.fixture
def pair(small_bundle: Path, tmp_path: Path) -> Iterator[tuple[Client, Client]]:
    bundle = Path(shutil.copytree(small_bundle, tmp_path / "docs.lurcher"))
    with (
        running(settings(bundle, writable=True)) as writer,
        running(settings(bundle, follow_ms=5)) as follower,
    ):
        yield writer, follower


def write(client: Client, method: str, **body: object) -> int:
    reply = client.request(method, "/v1/passages", json.dumps(body).encode(), JSON)
    assert reply.status == 200, reply.body
    return int(reply.json()["sequence"])


def test_a_follower_finds_what_the_writer_wrote(pair: tuple[Client, Client]) -> None:
    writer, follower = pair
    records = [{"id": "new", "text": "A heron fishes in the shallow water"}]
    sequence = write(writer, "PUT", records=records)
    reply = follower.search("heron", top_k=1, min_sequence=sequence)
    assert [hit["id"] for hit in reply.json()["hits"]] == ["new"]
    assert follower.metric("lurcher_passages") == 61
    sequence = write(writer, "DELETE", ids=["new"])
    reply = follower.search("heron", top_k=61, min_sequence=sequence)
    assert "new" not in [hit["id"] for hit in reply.json()["hits"]]
    late = follower.search("heron", min_sequence=sequence + 1, timeout_ms=50)
    assert f"write {sequence + 1} is not visible yet" in assert_problem(late, 504)["detail"]
    refused = follower.request("DELETE", "/v1/passages", b'{"ids": ["x"]}', JSON)
    assert "does not write" in assert_problem(refused, 403)["detail"]


def test_a_bundle_that_is_not_followed_has_no_sequence(small_bundle: Path) -> None:
    with running(settings(small_bundle, follow_ms=0)) as client:
        problem = assert_problem(client.search("heron", min_sequence=1), 422)
        assert "follow_ms is 0" in problem["detail"]
