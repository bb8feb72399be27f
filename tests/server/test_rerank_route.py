"""``POST /v1/rerank``: passages of the bundle and texts brought along, scored as a search scores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.retrieval.rerank import Document
from lurcher.retrieval.snapshot import Snapshot
from lurcher.server.keys import key_hash
from tests.server.odd import ODD
from tests.server.reranking import PATH, QUERY, rerank, scores
from tests.server.serving import Client, assert_problem, running, settings

# Twice the same text, read in other company: another sum order can turn a bit that lies at zero.
ALIKE = 3e-3


@pytest.fixture(scope="module")
def prompted(prompted_odd_bundle: Path) -> Iterator[Client]:
    """A server whose passages are read with another prompt than queries."""
    with running(settings(prompted_odd_bundle)) as client:
        yield client


@pytest.fixture(scope="module")
def odd(plain_odd_bundle: Path) -> Iterator[Client]:
    with running(settings(plain_odd_bundle)) as client:
        yield client


def content(record: dict[str, Any]) -> str:
    return f"{record.get('title', '')} {record['text']}"


def test_reply_has_the_documented_parts(live: Client) -> None:
    reply = rerank(live, QUERY, documents=["a cat", {"text": "Yeast makes dough rise"}, "rain"])
    assert reply.headers["content-type"] == "application/json"
    body = reply.json()
    assert set(body) == {"id", "results", "meta"}
    assert body["id"] == reply.headers["x-request-id"]
    assert [set(one) for one in body["results"]] == [{"index", "relevance_score", "score"}] * 3
    assert body["results"][0]["index"] == 1
    found = list(scores(reply).values())
    assert found == sorted(found, reverse=True)
    assert all(-1 <= score <= 1 for score in found)
    meta = body["meta"]
    assert set(meta) == {"bundle", "model", "truncated", "truncated_documents", "timings_ms"}
    assert (meta["bundle"], meta["model"]) == ("small", "tiny")
    assert (meta["truncated"], meta["truncated_documents"]) == (False, [])
    assert meta["timings_ms"]["total"] > 0


def test_passages_score_as_a_search_scores_them(live: Client) -> None:
    hits = live.search(QUERY, top_k=60, include=[], neighbours={"mode": "off"}).json()["hits"]
    ids = sorted(hit["id"] for hit in hits)
    results = rerank(live, QUERY, passages=ids).json()["results"]
    assert [one["id"] for one in results] == [hit["id"] for hit in hits]
    assert all(ids[one["index"]] == one["id"] for one in results)
    found = [one["score"] for one in results]
    assert found == pytest.approx([hit["score"] for hit in hits], abs=3e-6)


@pytest.mark.parametrize("query", [QUERY, "Katze 🐈", "!"])
def test_texts_score_as_the_passages_that_have_them(
    live: Client, small_records: list[dict[str, Any]], query: str
) -> None:
    ids = [record["id"] for record in small_records]
    stored = scores(rerank(live, query, passages=ids))
    brought = scores(rerank(live, query, documents=[content(r) for r in small_records]))
    for place, score in stored.items():
        assert brought[place] == pytest.approx(score, abs=ALIKE)


@pytest.mark.parametrize("server", ["odd", "prompted"])
def test_odd_texts_score_as_odd_passages(server: str, request: pytest.FixtureRequest) -> None:
    """An empty one, one of one token, parts of a long one; and each side may have its own prompt."""
    client: Client = request.getfixturevalue(server)
    kind = "plain" if server == "odd" else server
    query = "the telescope of Galileo"
    with closing(Bundle.open(request.getfixturevalue(f"{kind}_odd_bundle"))) as bundle:
        passages = bundle.passages.get(range(bundle.passages.count))
    names = [one.id for one in passages]
    stored = scores(rerank(client, query, passages=names))
    reply = rerank(client, query, documents=[one.content for one in passages])
    brought = scores(reply)
    for place, score in stored.items():
        assert brought[place] == pytest.approx(score, abs=ALIKE), names[place]
    assert brought[names.index("empty")] == brought[names.index("blank")] == pytest.approx(-0.7)
    assert set(list(brought)[:2]) == {names.index("titled"), names.index("one")}
    assert reply.json()["meta"]["truncated_documents"] == []


@pytest.mark.parametrize("server", ["odd", "prompted"])
def test_of_a_text_that_is_too_long_the_end_is_not_read(
    server: str, request: pytest.FixtureRequest
) -> None:
    query = "the telescope of Galileo"
    (long,) = (content(record) for record in ODD if record["id"] == "long")
    documents = ["a telescope", long, f"{long} {query}"]
    reply = rerank(request.getfixturevalue(server), query, documents=documents)
    assert reply.json()["meta"]["truncated_documents"] == [1, 2]
    found = scores(reply)
    assert found[0] > found[1] == pytest.approx(found[2], abs=ALIKE)


def test_codes_of_a_text_are_those_that_the_build_wrote(prompted_odd_bundle: Path) -> None:
    bundle = Bundle.open(prompted_odd_bundle)
    assert bundle.tokens is not None
    contents = bundle.passages.contents(range(bundle.passages.count))
    encoded = Snapshot(bundle, 1).encode_documents([Document(text) for text in contents])
    for row, one in enumerate(encoded):
        written, _ = bundle.tokens.gather(np.array([row]))
        assert one.coded.codes.shape == written.shape
        different = np.unpackbits(one.coded.codes ^ written).sum()
        assert different <= 0.005 * written.size * 8
        moved = one.coded.positions != bundle.tokens.gather_positions(np.array([row]))
        assert np.count_nonzero(moved) <= 0.02 * len(moved)
        (vector,) = bundle.vectors.vectors(np.array([row]))
        np.testing.assert_allclose(one.vector, vector, atol=1e-3)
    bundle.close()


def test_second_route_is_the_same(live: Client) -> None:
    body = {"documents": ["bread", "a cat"], "model": "rerank-v3.5", "top_n": 1}
    assert scores(rerank(live, QUERY, "/v2/rerank", **body)) == scores(rerank(live, QUERY, **body))


def test_top_n_cuts_the_results(live: Client) -> None:
    documents = ["rain", "the dough rises", "a cat", "dough", "bread"]
    everything = scores(rerank(live, QUERY, documents=documents))
    assert list(scores(rerank(live, QUERY, documents=documents, top_n=2))) == list(everything)[:2]
    assert list(scores(rerank(live, QUERY, documents=documents, top_n=99))) == list(everything)


def test_documents_are_returned_if_asked(live: Client, small_records: list[dict[str, Any]]) -> None:
    documents = ["  🐈 ", {"text": "bread"}, ""]
    results = rerank(live, "bread", documents=documents, return_documents=True).json()["results"]
    texts = ["  🐈 ", "bread", ""]
    assert [one["document"] for one in results] == [{"text": texts[r["index"]]} for r in results]
    by_id = {record["id"]: record["text"] for record in small_records}
    ids = ["en-food-1", "de-food-2", "en-food-1"]
    results = rerank(live, "bread", passages=ids, return_documents=True, top_n=3).json()["results"]
    assert sorted(one["index"] for one in results) == [0, 1, 2]
    for one in results:
        assert one["id"] == ids[one["index"]]
        assert one["document"] == {"text": by_id[one["id"]]}


def test_equal_texts_stay_in_their_order(live: Client) -> None:
    assert list(scores(rerank(live, QUERY, documents=["bread"] * 5))) == [0, 1, 2, 3, 4]


def test_long_query_is_cut_and_says_so(live: Client) -> None:
    reply = rerank(live, "cat " * 499, documents=["a cat"])
    assert reply.json()["meta"]["truncated"] is True


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({}, "documents", "documents or passages"),
        ({"documents": ["a"], "passages": ["en-food-0"]}, "documents", "documents or passages"),
        ({"documents": []}, "documents", "at least 1"),
        ({"passages": []}, "passages", "at least 1"),
        ({"passages": ["en-food-0", "nobody", "no one"]}, "passages.1", "no passage has this id"),
        ({"passages": [""]}, "passages.0", "no passage has this id"),
        ({"passages": [3]}, "passages.0", "string"),
        ({"documents": "a cat"}, "documents", "list"),
        ({"documents": ["a", 3]}, "documents.1", "must be a text, or an object with a `text`"),
        ({"documents": [None]}, "documents.0", "must be a text, or an object with a `text`"),
        ({"documents": [{"txt": "a"}]}, "documents.0.text", "required"),
        ({"documents": [{"text": 3}]}, "documents.0.text", "string"),
        ({"documents": ["a"], "top_n": 0}, "top_n", "greater"),
        ({"documents": ["a"], "top_n": "1"}, "top_n", "integer"),
        ({"documents": ["a"], "return_documents": 1}, "return_documents", "boolean"),
        ({"documents": ["a"], "max_tokens_per_doc": 0}, "max_tokens_per_doc", "greater"),
        ({"documents": ["a"], "max_tokens_per_doc": "9"}, "max_tokens_per_doc", "integer"),
        ({"passages": ["en-food-0"], "max_tokens_per_doc": 9}, "max_tokens_per_doc", "documents"),
        ({"documents": ["a"], "timeout_ms": 0}, "timeout_ms", "greater"),
        ({"documents": ["a"], "query": " "}, "query", "white space"),
        ({"documents": ["a"], "query": "x" * 2_001}, "query", "at most 2000"),
    ],
)
def test_what_cannot_be_asked_is_named(
    live: Client, body: dict[str, Any], field: str, says: str
) -> None:
    problem = assert_problem(live.post(PATH, {"query": "a cat", **body}), 422)
    error = problem["errors"][0]
    assert error["field"] == field or error["field"].startswith(f"{field}.")
    assert says in error["reason"]


def test_lone_surrogate_is_named(live: Client) -> None:
    raw = b'{"query": "a", "documents": ["b", "\\ud800"]}'
    problem = assert_problem(live.post(PATH, raw), 422)
    assert [error["field"] for error in problem["errors"]] == ["documents.1.text"]


@pytest.mark.parametrize("path", [PATH, "/v2/rerank"])
def test_documents_are_cut_to_so_many_tokens(live: Client, path: str) -> None:
    """As if they ended there: what is left out does not count, and is told."""
    long = ["bread needs yeast and patience", "a cat", "dough"]
    cut = rerank(live, QUERY, path, documents=long, max_tokens_per_doc=2)
    assert cut.json()["meta"]["truncated_documents"] == [0]
    wanted = scores(rerank(live, QUERY, path, documents=["bread needs", "a cat", "dough"]))
    assert scores(cut) == pytest.approx(wanted, abs=ALIKE)
    whole = scores(rerank(live, QUERY, path, documents=long))
    assert whole[0] != pytest.approx(wanted[0], abs=ALIKE)
    uncut = rerank(live, QUERY, path, documents=long, max_tokens_per_doc=10**9)
    assert scores(uncut) == whole
    assert uncut.json()["meta"]["truncated_documents"] == []


def test_documents_are_described_as_texts_or_objects(live: Client) -> None:
    schemas = live.get("/openapi.json").json()["components"]["schemas"]
    documents = schemas["RerankRequest"]["properties"]["documents"]["anyOf"][0]
    kinds = [kind.get("type", kind.get("$ref")) for kind in documents["items"]["anyOf"]]
    assert kinds == ["string", "#/components/schemas/Document"]


@pytest.mark.parametrize("field", ["documents", "passages"])
def test_too_many_are_refused(live: Client, field: str) -> None:
    problem = assert_problem(live.post(PATH, {"query": "a", field: ["a"] * 10_001}), 413)
    assert field in problem["detail"]
    assert "at most 300" in problem["detail"]


def test_too_much_text_is_refused(live: Client) -> None:
    problem = assert_problem(rerank(live, "a", documents=["x" * 1_000] * 200), 413)
    assert "200000 bytes" in problem["detail"]


def test_as_many_as_allowed_are_scored(live: Client) -> None:
    assert len(scores(rerank(live, QUERY, documents=["bread", "a cat", ""] * 100))) == 300


@pytest.mark.parametrize("body", [{"documents": ["a"]}, {"passages": ["en-food-0"]}])
def test_a_bundle_without_tokens_names_the_command_that_makes_one(
    tokenless: Client, body: dict[str, Any]
) -> None:
    problem = assert_problem(tokenless.post(PATH, {"query": "a cat", **body}), 422)
    assert problem["errors"] == []
    assert "`lurcher build`" in problem["detail"]


def test_a_key_is_needed_where_searches_need_one(small_bundle: Path) -> None:
    with running(settings(small_bundle, read_keys=[key_hash("secret")])) as client:
        for path in (PATH, "/v2/rerank"):
            body = {"query": "a", "passages": ["en-food-0"]}
            assert_problem(client.post(path, body), 401)
            assert client.post(path, body, X_API_Key="secret").status == 200
