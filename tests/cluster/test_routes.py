"""The routes of a cluster's ingress, with shards in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from lurcher.cluster.app import cluster_app
from lurcher.cluster.cluster_file import read_cluster
from lurcher.cluster.coordinator import Coordinator
from lurcher.retrieval.query import Query, ReadOptions
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from lurcher.server.settings import Settings
from tests.cluster.conftest import NearShards
from tests.server.serving import until

QUESTION = "who sleeps on the windowsill"


@pytest.fixture(scope="module")
def client(
    answering_cluster_folder: Path, answering_cluster: tuple[Coordinator, NearShards]
) -> Iterator[TestClient]:
    folder = answering_cluster_folder
    near = answering_cluster[1]
    app = cluster_app(folder, read_cluster(folder), near, 1.0, Settings.model_validate({}))
    with TestClient(app) as client:
        until(lambda: client.get("/readyz").status_code == 200)
        yield client


def test_answers_are_those_of_one_bundle(client: TestClient, answering_one: Snapshot) -> None:
    body = {"query": QUESTION, "min_score": 0, "top_k": 5, "include": ["passage"]}
    reply = client.post("/v1/answer", json=body)
    assert reply.status_code == 200, reply.text
    found = reply.json()
    (wanted,) = answering_one.run([Query(QUESTION, 10, read=ReadOptions(5, 0.0))])
    assert isinstance(wanted, SearchResult)
    # The server rounds to six places.
    assert [(one["text"], one["score"], one["passage"]["id"]) for one in found["answers"]] == [
        (one.text, round(one.score, 6), one.passage.id) for one in wanted.answers
    ]
    assert found["answered"]
    assert found["degraded"] == []
    assert found["timings_ms"]["read"] > 0


def test_a_least_score_leaves_nothing(client: TestClient) -> None:
    found = client.post("/v1/answer", json={"query": QUESTION, "min_score": 1}).json()
    assert (found["answers"], found["answered"]) == ([], False)


def test_what_is_not_done_over_shards_is_refused(client: TestClient) -> None:
    reply = client.post("/v1/answer", json={"query": QUESTION, "write": True})
    assert reply.status_code == 422
    assert reply.json()["errors"][0]["field"] == "write"


def test_copies_are_folded_and_counted(client: TestClient, answering_one: Snapshot) -> None:
    reply = client.post("/v1/search", json={"query": QUESTION, "fold": True})
    assert reply.status_code == 200, reply.text
    (wanted,) = answering_one.run([Query(QUESTION, 10, fold=True)])
    assert isinstance(wanted, SearchResult)
    counts = [(hit.id, hit.duplicates) for hit in wanted.hits]
    assert [(hit["id"], hit["duplicates"]) for hit in reply.json()["hits"]] == counts


def test_hits_are_grouped_and_batches_ranked_by_a_reader(client: TestClient) -> None:
    body = {"queries": ["cat", QUESTION], "rank": "reader", "group_by": "document", "top_k": 5}
    reply = client.post("/v1/search/batch", json=body)
    assert reply.status_code == 200, reply.text
    assert [len(one["hits"]) for one in reply.json()["results"]] == [5, 5]


def test_metrics_are_told(client: TestClient) -> None:
    client.post("/v1/search", json={"query": "cat"})
    assert "lurcher_stage_seconds" in client.get("/metrics").text


def test_other_protocols_and_the_search_page_are_served(client: TestClient) -> None:
    texts = ["a cat", "bread"]
    (found,) = {
        tuple(map(tuple, vectors))
        for vectors in (
            [one["embedding"] for one in client.post(
                "/v1/embeddings", json={"model": "tiny", "input": texts}
            ).json()["data"]],
            client.post("/embed", json={"inputs": texts}).json(),
        )
    }  # fmt: skip
    assert len(found) == 2
    ranked = client.post("/rerank", json={"query": "cat", "texts": texts}).json()
    assert {one["index"] for one in ranked} == {0, 1}
    assert "<html" in client.get("/").text
    assert "/v1/passages" in client.get("/openapi.json").json()["paths"]
    for path in ("/v1/rerank", "/v1/feedback", "/v1/collections"):
        assert client.post(path, json={}).status_code == 404


def test_agents_find_and_read_passages(client: TestClient) -> None:
    def call(tool: str, **arguments: Any) -> dict[str, Any]:
        params = {"name": tool, "arguments": arguments}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        accept = {"Accept": "application/json, text/event-stream"}
        return dict(client.post("/mcp", json=body, headers=accept).json()["result"])

    found = call("search", query=QUESTION)["structuredContent"]["passages"]
    read = call("get_passage", id=found[0]["id"])["structuredContent"]
    assert read["text"] == found[0]["text"]
    missing = call("get_passage", id="nothing")
    assert missing["isError"]
    assert "no passage has this id" in missing["content"][0]["text"]
