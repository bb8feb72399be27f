"""Every route of the default is there for each collection, below its name."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import lurcher
from lurcher.errors import FieldError, LurcherError
from lurcher.server.app import create_app
from lurcher.server.service import Service
from lurcher.server.settings import load_settings
from tests.server.serving import JSON, Client, assert_problem, running, settings

DOCS, TICKETS = "/v1/collections/docs", "/v1/collections/tickets"


def ids(reply: Any) -> list[str]:
    assert reply.status == 200, reply.body
    return [hit["id"] for hit in reply.json()["hits"]]


def test_collections_are_listed(several: Client) -> None:
    docs, tickets = several.get("/v1/collections").json()["collections"]
    assert (docs["name"], docs["bundle"], docs["default"], docs["passages"]) == (
        "docs",
        "small",
        True,
        60,
    )
    assert (tickets["name"], tickets["bundle"], tickets["default"]) == ("tickets", "odd", False)
    assert docs["encoder"] == tickets["encoder"] == "tiny"
    assert docs["fingerprint"] == tickets["fingerprint"]


def test_a_client_of_a_collection_asks_that_one(several: Client) -> None:
    with lurcher.Client(several.url, collection="tickets") as tickets:
        assert tickets.about().name == "odd"
        (hit,) = tickets.search("bread", top_k=1).hits
        assert tickets.get_passage(hit.passage.id) == hit.passage
    with (
        lurcher.Client(several.url, collection="no such") as nowhere,
        pytest.raises(LurcherError, match="no such"),
    ):
        nowhere.search("bread")


def test_the_default_answers_where_none_is_named(several: Client) -> None:
    asked = {"query": "a sleeping cat", "top_k": 5}
    default = ids(several.post("/v1/search", asked))
    assert ids(several.post(f"{DOCS}/search", asked)) == default
    other = several.post(f"{TICKETS}/search", asked)
    assert not set(ids(other)) & set(default)
    assert other.json()["bundle"] == "odd"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/search/batch", {"queries": ["cat", "bread"]}),
        ("POST", "/rerank", {"query": "cat", "documents": ["a cat", "bread"]}),
        ("GET", "/bundle", None),
        ("GET", "/passages?limit=2", None),
        ("GET", "/models", None),
        ("POST", "/embeddings", {"model": "tiny", "input": "a cat"}),
        ("POST", "/embed", {"texts": ["a cat"], "input_type": "search_query"}),
        ("POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}),
    ],
)
def test_a_route_is_there_for_each(several: Client, method: str, path: str, body: Any) -> None:
    for prefix in (DOCS, TICKETS):
        raw = None if body is None else json.dumps(body).encode()
        reply = several.request(method, f"{prefix}{path}", raw, JSON)
        assert reply.status == 200, reply.body


def test_passages_and_documents_are_the_collections_own(several: Client) -> None:
    (first,) = several.get(f"{TICKETS}/passages?limit=1").json()["passages"]
    assert several.get(f"{TICKETS}/passages/{first['id']}").json()["text"] == first["text"]
    assert several.get(f"{TICKETS}/documents/{first['document']}").status == 200
    assert_problem(several.get(f"{DOCS}/passages/{first['id']}"), 404)


def test_a_collection_that_is_not_there_is_named(several: Client) -> None:
    for reply in (
        several.post("/v1/collections/wiki/search", {"query": "cat"}),
        several.post("/v1/collections/wiki/search", {"quer": "cat"}),
        several.get("/v1/collections/wiki/bundle"),
    ):
        assert "'wiki'" in assert_problem(reply, 404)["detail"]


@pytest.mark.parametrize("name", ["docs.v2", "do%20cs", "d%C3%B6cs", "x" * 65])
def test_what_is_no_name_is_refused(several: Client, name: str) -> None:
    reply = several.post(f"/v1/collections/{name}/search", {"query": "cat"})
    (error,) = assert_problem(reply, 422)["errors"]
    assert error["field"] == "collection"
    assert "is no name of a collection" in error["reason"]


def test_a_name_with_a_slash_is_no_route(several: Client) -> None:
    for name in ("a%2Fb", "../docs", "%2E%2E"):
        assert several.post(f"/v1/collections/{name}/search", {"query": "c"}).status in (404, 422)


def test_metrics_tell_routes_apart_and_not_collections(several: Client) -> None:
    lines = [
        f'lurcher_requests_total{{route="{route}",status="200"}}'
        for route in ("/v1/search", "/v1/collections/{collection}/search", "/v2/rerank")
    ]
    before = [several.metric(line) for line in lines]
    several.search("cat")
    several.post(f"{TICKETS}/search", {"query": "cat"})
    several.post("/v2/rerank", {"query": "cat", "documents": ["cat"]})
    assert [several.metric(line) for line in lines] == [count + 1 for count in before]
    assert several.metric("lurcher_passages") > 60


def test_the_document_describes_both_kinds_of_paths(folder: Path) -> None:
    document = create_app(load_settings(None, {"collections": folder})).openapi()
    below = document["paths"]["/v1/collections/{collection}/search"]["post"]
    plain = document["paths"]["/v1/search"]["post"]
    assert below["requestBody"] == plain["requestBody"]
    assert [one["name"] for one in below["parameters"]] == ["collection"]
    assert set(below["responses"]) == set(plain["responses"]) | {"404"}
    names = [o["operationId"] for of in document["paths"].values() for o in of.values()]
    assert len(names) == len(set(names))


def test_writes_and_feedback_are_each_collections_own(
    small_bundle: Path, plain_odd_bundle: Path, tmp_path: Path
) -> None:
    paths = [
        shutil.copytree(source, tmp_path / f"{name}.lurcher")
        for name, source in (("docs", small_bundle), ("tickets", plain_odd_bundle))
    ]
    log = tmp_path / "feedback"
    record = {"id": "new", "text": "A printer that does not answer."}
    with running(settings(paths, feedback=log, writable=True)) as client:
        assert client.request(
            "PUT", f"{TICKETS}/passages", json.dumps({"records": [record]}).encode(),
            JSON,
        ).status == 200  # fmt: skip
        assert client.get(f"{TICKETS}/passages/new").status == 200
        assert_problem(client.get(f"{DOCS}/passages/new"), 404)
        pair = {"query": "it is mute", "passage": "new"}
        assert client.post(f"{TICKETS}/feedback", {"pairs": [pair]}).json()["accepted"] == 1
        assert client.get(f"{TICKETS}/feedback").json()["pairs"] == 1
        assert client.get("/v1/feedback").json()["pairs"] == 0
    assert sorted(one.name for one in log.glob("*.log")) == ["docs.log", "tickets.log"]


def test_a_folder_without_bundles_and_an_encoder_beside_others_are_refused(tmp_path: Path) -> None:
    for more, says in (
        ({}, "collections: .* has no folder"),
        ({"encoder_only": True}, "one encoder"),
    ):
        with pytest.raises(FieldError, match=says):
            create_app(load_settings(None, {"collections": tmp_path, **more}))


def test_a_file_cannot_be_the_feedback_of_several(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "feedback.log"
    file.touch()
    wanted = load_settings(None, {"collections": folder, "feedback": file})
    with pytest.raises(
        FieldError, match=f"feedback: .*{file.name}.* cannot be the folder of several"
    ):
        asyncio.run(Service(wanted).load())
