"""Writing to a cluster over HTTP, and reading what it has by id, with shards and writers in this process."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from lurcher.cluster.app import cluster_app
from lurcher.cluster.cluster_file import read_cluster
from lurcher.cluster.messages import ToWrite, Wrote
from lurcher.cluster.shard import Shard
from lurcher.server.keys import key_hash
from lurcher.server.settings import Settings
from tests.cluster.conftest import NearShards
from tests.cluster.test_writing import LONG, NearWriters
from tests.server.serving import until


class LateWriters:
    """Writers that are opened in the loop that first asks them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: NearWriters | None = None

    async def ask(self, requests: Mapping[int, ToWrite]) -> Mapping[int, Wrote]:
        self._opened = self._opened or NearWriters(self._folder)
        return await self._opened.ask(requests)

    async def stop(self) -> None:
        if self._opened is not None:
            await self._opened.stop()


@pytest.fixture(scope="module")
def folder(small_cluster: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(small_cluster, tmp_path_factory.mktemp("routes") / "small.cluster"))


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    cluster = read_cluster(folder)
    near = NearShards([Shard(folder, cluster, i) for i in range(len(cluster.shards))])
    writers = LateWriters(folder)
    settings = Settings.model_validate({"write_keys": [key_hash("w")], "follow_ms": 50})
    with TestClient(cluster_app(folder, cluster, near, 1.0, settings, writers)) as client:
        until(lambda: client.get("/readyz").status_code == 200)
        client.headers["Authorization"] = "Bearer w"
        yield client
        assert client.portal is not None
        client.portal.call(writers.stop)
    for shard in near.shards:
        shard.close()


def put(client: TestClient, *records: dict[str, Any], **more: Any) -> dict[str, Any]:
    reply = client.put("/v1/passages", json={"records": list(records), **more})
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def ids(client: TestClient, query: str, **more: Any) -> list[str]:
    reply = client.post("/v1/search", json={"query": query, "top_k": 100, **more})
    assert reply.status_code == 200, reply.text
    assert reply.json()["degraded"] == []
    return [one["id"] for one in reply.json()["hits"]]


def test_the_next_search_knows_what_is_written_deleted_and_changed(client: TestClient) -> None:
    new = [{"id": f"n-{i}", "text": f"A narwhal {i}", "metadata": {"horns": i}} for i in range(6)]
    written = put(client, *new)
    assert (written["upserted"], written["added"]) == (6, 6)
    assert set(ids(client, "narwhal", retrieve="lexical", rank="off")) == {one["id"] for one in new}
    assert ids(client, "narwhal", filter={"horns": 3}, min_sequence=written["sequence"]) == ["n-3"]
    assert client.get("/v1/bundle").json()["passages"] == 66
    body = {"records": [{"id": "n-4", "metadata": {"horns": 3}}]}
    assert client.patch("/v1/passages", json=body).json()["patched"] == 1
    assert set(ids(client, "narwhal", filter={"horns": 3})) == {"n-3", "n-4"}
    reply = client.request("DELETE", "/v1/passages", json={"ids": ["n-0", "nothing", "n-1"]})
    assert (reply.json()["removed"], reply.json()["unknown"]) == (2, ["nothing"])
    by_filter = {"filter": {"horns": {"gte": 0}}, "dry_run": True}
    assert client.request("DELETE", "/v1/passages", json=by_filter).json()["removed"] == 4
    del by_filter["dry_run"]
    assert client.request("DELETE", "/v1/passages", json=by_filter).json()["removed"] == 4
    assert ids(client, "narwhal", retrieve="lexical", rank="off") == []


def test_passages_and_documents_are_read_from_the_shard_that_has_them(client: TestClient) -> None:
    put(client, {"id": "long", "text": LONG, "title": "Oboes"})
    whole = client.get("/v1/documents/long").json()
    assert whole["text"] == LONG
    part = whole["passages"][1]["id"]
    assert part == "long#2"
    found = client.get("/v1/passages/long%232")
    assert found.json()["document"] == "long"
    versioned = {"records": [{"id": "long", "text": "Short.", "version": "0" * 16}]}
    assert client.put("/v1/passages", json=versioned).status_code == 409
    for path in ("/v1/passages/nothing", "/v1/documents/nothing"):
        assert client.get(path).status_code == 404
    client.request("DELETE", "/v1/passages", json={"ids": ["long"]})
    assert client.get("/v1/passages/long%232").status_code == 404


def test_passages_are_listed_in_the_order_of_their_ids(
    client: TestClient, small_records: list[dict[str, Any]]
) -> None:
    listed: list[str] = []
    asked: dict[str, Any] = {"limit": 7, "filter": '{"lang": "en"}'}
    while True:
        page = client.get("/v1/passages", params=asked).json()
        listed += [one["id"] for one in page["passages"]]
        if page["cursor"] is None:
            break
        asked["cursor"] = page["cursor"]
    assert listed == sorted(one["id"] for one in small_records if one["lang"] == "en")
    assert client.get("/v1/passages", params={"filter": '{"x": 1}'}).status_code == 422


def test_values_of_all_shards_are_counted(
    client: TestClient, small_records: list[dict[str, Any]]
) -> None:
    put(
        client,
        {"id": "n", "text": "A narwhal", "metadata": {"horns": 1, "lang": "kl", "flag": True}},
    )
    asked = {"field": ["lang", "horns", "flag"], "limit": 3, "filter": '{"flag": true}'}
    found = client.get("/v1/facets", params=asked).json()
    flagged = [one for one in small_records if one["flag"]]
    langs = Counter(one["lang"] for one in flagged)
    lang, horns, flag = found["facets"]
    assert found["passages"] == len(flagged) + 1
    assert {one["value"]: one["count"] for one in lang["values"]} == dict(langs.most_common(3))
    assert (lang["distinct"], lang["passages"]) == (len(langs) + 1, len(flagged) + 1)
    assert horns["values"] == [{"value": 1, "count": 1}]
    assert flag["values"] == [{"value": True, "count": len(flagged) + 1}]
    assert client.get("/v1/facets", params={"field": "tusks"}).status_code == 422
    client.request("DELETE", "/v1/passages", json={"ids": ["n"]})


def test_who_has_no_key_for_it_may_not_write(client: TestClient) -> None:
    body = {"records": [{"id": "x", "text": "y"}]}
    reply = client.put("/v1/passages", json=body, headers={"Authorization": "Bearer no"})
    assert reply.status_code in (401, 403)


def test_a_shard_that_is_gone_is_told(client: TestClient, folder: Path) -> None:
    cluster = read_cluster(folder)
    near = NearShards([Shard(folder, cluster, i) for i in range(len(cluster.shards))])
    near.gone = {1}
    with TestClient(cluster_app(folder, cluster, near, 1.0, Settings.model_validate({}))) as other:
        until(lambda: other.get("/readyz").status_code == 200)
        assert other.get("/v1/passages").status_code == 503
        assert other.get("/v1/bundle").status_code == 503
        reply = other.put("/v1/passages", json={"records": [{"id": "x", "text": "y"}]})
        assert reply.status_code == 403
        assert "does not write" in reply.text
    for shard in near.shards:
        shard.close()
