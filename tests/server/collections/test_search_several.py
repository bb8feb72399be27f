"""One search over several collections: encoded once, merged by score, each hit with its collection."""

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
    folder: Path, tokenless_bundle: Path, words_bundle: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Client]:  # fmt: skip
    """A server of bundles that can do different things."""
    more = tmp_path_factory.mktemp("mixed")
    for name, path in (("bare", tokenless_bundle), ("words", words_bundle)):
        (more / f"{name}.lurcher").symlink_to(path)
    wanted = [folder / "docs.lurcher", folder / "tickets.lurcher"]
    with running(settings(wanted, collections=more, max_hits=100)) as client:
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


def test_one_collection_s_route_searches_no_other(mixed: Client) -> None:
    reply = mixed.post("/v1/collections/docs/search", {"query": "cat", "collections": BOTH})
    (error,) = assert_problem(reply, 422)["errors"]
    assert error["field"] == "collections"


def test_limits_hold_for_all_together(mixed: Client) -> None:
    assert mixed.search("cat", top_k=50, collections=BOTH).status == 200
    problem = assert_problem(mixed.search("cat", top_k=51, collections=BOTH), 413)
    assert "collections times top_k: at most 100 hits" in problem["detail"]
