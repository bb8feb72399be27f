"""``GET /v1/documents/{id}`` over a socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.server.serving import Client, assert_problem, running, settings
from tests.tiny import TinyOptions, build

LONG = "\n\n".join(f"The cat sleeps on warm windowsill number {i}." for i in range(12))
TEXTS = {"a/long one": LONG, "short": "Bread rises.", "blank": ""}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("documents")
    lines = [
        json.dumps({"id": id_, "text": text, "title": "T", "year": 2020}) + "\n"
        for id_, text in TEXTS.items()
    ]
    corpus = folder / "c.jsonl"
    corpus.write_text("".join(lines))
    build(corpus, folder / "c.lurcher", TinyOptions(window=20))
    with running(settings(folder / "c.lurcher")) as client:
        yield client


@pytest.mark.parametrize("id_", TEXTS)
def test_a_document_has_its_text_and_its_passages(client: Client, id_: str) -> None:
    found = client.get(f"/v1/documents/{quote(id_)}").json()
    assert (found["id"], found["title"], found["metadata"]) == (id_, "T", {"year": 2020})
    assert found["text"].split() == TEXTS[id_].split()
    for part in found["passages"]:
        assert (
            found["text"][part["start"] : part["end"]] == (TEXTS[id_][part["start"] : part["end"]])
        )
    assert (len(found["passages"]) > 1) == (id_ == "a/long one")


def test_a_hit_says_where_it_stands_in_its_document(client: Client) -> None:
    hit = client.search("the cat sleeps on the warm windowsill", top_k=1).json()["hits"][0]
    found = client.get(f"/v1/documents/{quote(hit['document'])}").json()
    assert found["text"][hit["start"] : hit["end"]].split() == hit["text"].split()


@pytest.mark.parametrize("id_", ["nothing", "a/long one#1", "a"])
def test_an_id_that_no_document_has_is_not_found(client: Client, id_: str) -> None:
    reply = client.get(f"/v1/documents/{quote(id_)}")
    assert_problem(reply, 404)
    assert repr(id_) in reply.json()["detail"]
