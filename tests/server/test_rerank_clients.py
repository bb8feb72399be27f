"""``/v1/rerank`` as clients of Cohere, Jina and Voyage call it: their fields, and scores of 0 to 1."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.serving import Client, assert_problem

PATH = "/v1/rerank"
QUERY = "when does the dough of the bread rise"
TEXTS = ["A ship enters the harbour.", "Yeast makes the dough of bread rise.", ""]


def results(client: Client, path: str = PATH, **body: Any) -> list[dict[str, Any]]:
    reply = client.post(path, {"query": QUERY, **body})
    assert reply.status == 200, reply.body
    found: list[dict[str, Any]] = reply.json()["results"]
    return found


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/rerank", {"model": "rerank-english-v3.0", "top_n": 3, "return_documents": False,
                        "max_chunks_per_doc": 10}),
        ("/v2/rerank", {"model": "rerank-v3.5", "top_n": 3, "max_tokens_per_doc": 4_096, "priority": 0}),
        ("/v2/rerank", {"model": "rerank-v3.5", "priority": 999.0}),
        ("/v1/rerank", {"model": "jina-reranker-v2-base-multilingual", "top_n": 3}),
        ("/v1/rerank", {"model": "rerank-2", "top_k": 3, "truncation": True}),
        ("/v1/rerank", {"top_k": 3, "top_n": 3.0}),
    ],
)  # fmt: skip
def test_fields_of_others_are_taken_and_change_nothing(
    live: Client, path: str, fields: dict[str, Any]
) -> None:
    assert results(live, path, documents=TEXTS, **fields) == results(live, documents=TEXTS)


def test_top_k_is_top_n(live: Client) -> None:
    assert results(live, documents=TEXTS, top_k=1) == results(live, documents=TEXTS, top_n=1)
    assert len(results(live, documents=TEXTS, top_k=1)) == 1


def test_more_keys_of_a_document_change_nothing(live: Client) -> None:
    more = [{"text": t, "id": i, "meta": {"a": [None, True]}} for i, t in enumerate(TEXTS)]
    assert results(live, documents=more) == results(live, documents=TEXTS)


def test_named_fields_are_joined_in_their_order(live: Client) -> None:
    documents = [
        {"text": "rise", "title": "Dough", "year": 1999, "note": "left out"},
        {"title": "Harbour", "text": None, "year": 20.5},
        "a plain text",
    ]
    joined = ["Dough 1999 rise", "Harbour 20.5", "a plain text"]
    asked = {"documents": documents, "rank_fields": ["title", "year", "text"]}
    assert results(live, **asked) == results(live, documents=joined)
    texts = [one["document"]["text"] for one in results(live, **asked, return_documents=True)]
    assert sorted(texts) == sorted(joined)


def test_title_and_text_score_as_the_passage_that_has_them(
    live: Client, small_records: list[dict[str, Any]]
) -> None:
    stored = results(live, passages=[record["id"] for record in small_records[:5]])
    brought = results(live, documents=small_records[:5], rank_fields=["title", "text"])
    scores = {one["index"]: one["score"] for one in stored}
    for one in brought:
        assert one["score"] == pytest.approx(scores[one["index"]], abs=3e-3)


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"documents": [{"title": "a"}]}, "documents.0.text", "rank_fields"),
        ({"documents": ["a", {"title": "a"}], "rank_fields": ["name"]}, "documents.1", "none of"),
        ({"documents": [{"a": [1]}], "rank_fields": ["a"]}, "documents.0.a", "text or a number"),
        ({"documents": [{"a": True}], "rank_fields": ["a"]}, "documents.0.a", "text or a number"),
        ({"documents": [{"a": "\ud800"}], "rank_fields": ["a"]}, "documents.0.a", "Unicode"),
        ({"documents": ["a"], "rank_fields": []}, "rank_fields", "at least 1"),
        ({"passages": ["en-food-0"], "rank_fields": ["title"]}, "rank_fields", "documents"),
        ({"documents": ["a"], "top_n": 1, "top_k": 2}, "top_k", "is 2, and top_n is 1"),
        ({"documents": ["a"], "top_k": 0}, "top_k", "greater"),
        ({"documents": ["a"], "priority": 1_000}, "priority", "less"),
        ({"documents": ["a"], "priority": True}, "priority", "integer"),
        ({"documents": ["a"], "max_chunks_per_doc": 0}, "max_chunks_per_doc", "greater"),
        ({"documents": ["a"], "truncation": "no"}, "truncation", "boolean"),
    ],
)
def test_what_cannot_be_asked_is_named(
    live: Client, body: dict[str, Any], field: str, says: str
) -> None:
    (error,) = assert_problem(live.post(PATH, {"query": "a cat", **body}), 422)["errors"]
    assert error["field"] == field
    assert says in error["reason"]


@pytest.mark.parametrize("name", ["\ud800", "", "model_config", "self", "__class__"])
def test_any_key_of_a_document_is_the_sender_s_own(live: Client, name: str) -> None:
    reply = live.post(PATH, {"query": "a", "documents": [{"text": "a", name: "\ud800"}]})
    assert reply.status in (200, 422)
    assert reply.status == 200 or name == "\ud800"


def test_what_may_not_be_cut_is_refused_where_it_would_be(live: Client) -> None:
    long = ["a cat", "bread needs yeast and patience " * 300]
    assert len(results(live, documents=long)) == 2
    body = {"query": "bread", "documents": long, "truncation": False}
    (error,) = assert_problem(live.post(PATH, body), 422)["errors"]
    assert error["field"] == "documents.1"
    body = {"query": "cat " * 499, "passages": ["en-food-0"], "truncation": False}
    (error,) = assert_problem(live.post(PATH, body), 422)["errors"]
    assert error["field"] == "query"
    assert len(results(live, documents=long[:1], truncation=False)) == 1


def test_relevance_is_half_of_one_and_the_score(live: Client) -> None:
    found = results(live, documents=TEXTS)
    assert [one["score"] for one in found][-1] == pytest.approx(-0.7)  # the empty text
    for one in found:
        assert 0 <= one["relevance_score"] <= 1
        assert one["relevance_score"] == pytest.approx((1 + one["score"]) / 2, abs=1e-6)
    order = [one["relevance_score"] for one in found]
    assert order == sorted(order, reverse=True)
