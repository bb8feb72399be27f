"""Searches and answers over several collections: encoded once, merged by score, each with its collection."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.serving import Client, assert_problem, running, settings

BOTH = ["docs", "tickets"]
ASKED = {"query": "a sleeping cat", "top_k": 12}


@pytest.fixture(scope="module")
def mixed(
    folder: Path, tokenless_bundle: Path, words_bundle: Path, answering_bundle: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Client]:  # fmt: skip
    """A server of bundles that can do different things."""
    more = tmp_path_factory.mktemp("mixed")
    for name, path in (
        ("bare", tokenless_bundle), ("words", words_bundle), ("read", answering_bundle),
        ("again", answering_bundle),
    ):  # fmt: skip
        (more / f"{name}.lurcher").symlink_to(path)
    wanted = [folder / "docs.lurcher", folder / "tickets.lurcher"]
    with running(settings(wanted, collections=more, max_hits=100, max_read_depth=30)) as client:
        yield client


def alone(client: Client, name: str, **options: Any) -> list[tuple[float, str, str]]:
    reply = client.post(f"/v1/collections/{name}/search", {**ASKED, **options})
    assert reply.status == 200, reply.body
    return [(hit["score"], name, hit["id"]) for hit in reply.json()["hits"]]


def together(client: Client, names: list[str], **options: Any) -> Any:
    reply = client.search(**{**ASKED, **options}, collections=names)
    assert reply.status == 200, reply.body
    return reply.json()


@pytest.mark.parametrize(
    "options",
    [
        {"retrieve": "dense", "rank": "off"},
        {"retrieve": "dense", "rank": "maxsim"},
        {"retrieve": "lexical", "rank": "off"},
    ],
    ids=str,
)
@pytest.mark.parametrize("names", [BOTH, BOTH[::-1], ["tickets"]], ids="+".join)
def test_hits_are_the_best_of_what_each_finds_alone(
    mixed: Client, names: list[str], options: dict[str, Any]
) -> None:
    found = together(mixed, names, **options)
    every = [hit for name in names for hit in alone(mixed, name, **options)]
    best = sorted(every, key=lambda hit: -hit[0])[: ASKED["top_k"]]  # of equal ones the first
    hits = [(hit["score"], hit["collection"], hit["id"]) for hit in found["hits"]]
    assert hits == best
    assert found["collections"] == {
        name: {"docs": "small", "tickets": "odd"}[name] for name in names
    }
    assert "bundle" not in found


def test_the_query_is_encoded_once(mixed: Client) -> None:
    metric = 'lurcher_stage_seconds_count{collection="*",stage="encode"}'
    before = mixed.metric(metric)
    found = together(mixed, BOTH)
    assert mixed.metric(metric) == before + 1
    assert {"queue", "encode", "retrieve_dense", "rank", "total"} <= set(found["timings_ms"])


def test_all_are_ranked_in_the_same_way_or_none(mixed: Client) -> None:
    found = together(mixed, ["docs", "bare"])
    assert {name for hit in found["hits"] for name in hit["scores"]} == {
        "dense",
        "fused",
        "lexical",
    }
    problem = assert_problem(mixed.search("cat", collections=["docs", "bare"], rank="maxsim"), 422)
    (error,) = problem["errors"]
    assert error["field"] == "rank"
    assert error["reason"].startswith("'bare': this bundle has no tokens")


@pytest.mark.parametrize(
    ("given", "field", "says"),
    [
        ({"collections": ["docs", "words"]}, "collections", "'words' has no vectors"),
        ({"collections": ["docs", "wiki"]}, "collections.1", "there is no collection 'wiki'"),
        ({"collections": ["a/b"]}, "collections.0", "'a/b' is no name"),
        ({"collections": ["docs", "docs"]}, "collections.1", "'docs' is there twice"),
        ({"collections": []}, "collections", "at least 1"),
        ({"collections": BOTH, "min_sequence": 1}, "min_sequence", "writes of one collection"),
        ({"collections": BOTH, "filter": {"lang": "en"}}, "filter.lang", "'tickets': "),
        ({"collections": BOTH, "query": " "}, "query", "is empty"),
    ],
    ids=str,
)
def test_what_cannot_be_searched_together_is_named(
    mixed: Client, given: dict[str, Any], field: str, says: str
) -> None:
    (error,) = assert_problem(mixed.search(**{"query": "cat", **given}), 422)["errors"]
    assert error["field"] == field
    assert says in error["reason"]


@pytest.mark.parametrize("route", ["search", "search/batch", "answer"])
def test_one_collection_s_route_asks_no_other(mixed: Client, route: str) -> None:
    asked = {"queries": ["cat"]} if route == "search/batch" else {"query": "cat"}
    reply = mixed.post(f"/v1/collections/docs/{route}", {**asked, "collections": BOTH})
    (error,) = assert_problem(reply, 422)["errors"]
    assert error["field"] == "collections"


def test_a_batch_finds_what_each_of_its_queries_finds(mixed: Client) -> None:
    texts = ["a sleeping cat", "an old telescope"]
    batch = {"queries": [texts[0], " ", texts[1]], "collections": BOTH, "top_k": 5}
    reply = mixed.post("/v1/search/batch", batch)
    assert reply.status == 200, reply.body
    found = reply.json()
    assert found["collections"] == {"docs": "small", "tickets": "odd"}
    assert "bundle" not in found
    first, bad, second = found["results"]
    (error,) = bad["error"]["errors"]
    assert error["field"] == "queries.1"
    for text, item in zip(texts, (first, second), strict=True):
        assert item["hits"] == together(mixed, BOTH, query=text, top_k=5)["hits"]


def test_a_batch_names_whose_fault_an_error_is(mixed: Client) -> None:
    batch = {"queries": ["cat"], "collections": ["docs", "bare"], "rank": "maxsim"}
    (item,) = mixed.post("/v1/search/batch", batch).json()["results"]
    (error,) = item["error"]["errors"]
    assert error["field"] == "rank"
    assert error["reason"].startswith("'bare': this bundle has no tokens")
    apart = mixed.post("/v1/search/batch", {**batch, "collections": ["docs", "words"]})
    (error,) = assert_problem(apart, 422)["errors"]
    assert error["field"] == "collections"


def test_answers_say_which_collection_has_them(mixed: Client) -> None:
    question = {"query": "who built a telescope", "min_score": 0}
    reply = mixed.post("/v1/answer", {**question, "collections": ["again", "read"]})
    assert reply.status == 200, reply.body
    found = reply.json()
    alone = mixed.post("/v1/collections/read/answer", question).json()
    assert found["collections"] == dict.fromkeys(["again", "read"], alone["bundle"])
    assert "bundle" not in found
    # Both have the same passages, so that each answer is there twice, and shown once.
    assert found["answers"] == [{"collection": "again", **one} for one in alone["answers"]]
    assert len(found["answers"]) == 3
    for name in ("calibrated", "calibrated_on", "calibrated_by"):
        assert found[name] == alone[name]


@pytest.mark.parametrize(
    ("given", "field", "says"),
    [
        ({"collections": ["read", "docs"]}, "collections", "'docs': this bundle has no reader"),
        ({"collections": ["read", "words"]}, "collections", "'words' has no vectors"),
        ({"write": True}, "write", "of one collection"),
        ({"read_depth": 16}, "read_depth", "at most 30 hits are read, of all 2 collections"),
        ({"min_sequence": 1}, "min_sequence", "writes of one collection"),
    ],
    ids=str,
)
def test_what_cannot_be_answered_together_is_named(
    mixed: Client, given: dict[str, Any], field: str, says: str
) -> None:
    asked = {"query": "who built a telescope", "collections": ["read", "again"], **given}
    (error,) = assert_problem(mixed.post("/v1/answer", asked), 422)["errors"]
    assert error["field"] == field
    assert says in error["reason"]


def test_limits_hold_for_all_together(mixed: Client) -> None:
    assert mixed.search("cat", top_k=50, collections=BOTH).status == 200
    problem = assert_problem(mixed.search("cat", top_k=51, collections=BOTH), 413)
    assert "collections times top_k: at most 100 hits" in problem["detail"]
    batch = {"queries": ["cat", "boat"], "top_k": 26, "collections": BOTH}
    problem = assert_problem(mixed.post("/v1/search/batch", batch), 413)
    assert "queries times collections times top_k: at most 100 hits" in problem["detail"]
