"""Ranking over HTTP: ``rank`` and ``candidates``, the scores, what is left out when time is short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from lurcher.errors import LurcherError
from lurcher.retrieval.query import Query
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from tests.server.serving import Client, assert_problem, running, settings

SILL = "the warm sill of a window"


def hits(client: Client, query: str, **options: Any) -> list[dict[str, Any]]:
    reply = client.search(query, **options)
    assert reply.status == 200, reply.body
    found: list[dict[str, Any]] = reply.json()["hits"]
    return found


def test_ranked_hits_have_the_scores_of_both_stages(live: Client) -> None:
    ranked = hits(live, SILL, top_k=60)
    for hit in ranked:
        scores = hit["scores"]
        assert set(scores) == {"dense", "lexical", "fused", "maxsim", "rank"}
        assert hit["score"] == scores["rank"]
        assert -1 <= scores["maxsim"] <= 1
        by_words = (scores["fused"] - scores["dense"]) / 2
        wanted = 0.3 * scores["dense"] + 0.7 * scores["maxsim"] + by_words
        assert scores["rank"] == pytest.approx(wanted, abs=2e-6)
    assert [h["score"] for h in ranked] == sorted((h["score"] for h in ranked), reverse=True)
    assert [h["id"] for h in ranked] != [h["id"] for h in hits(live, SILL, top_k=60, rank="off")]


def test_off_leaves_the_first_stage(live: Client) -> None:
    options = {"top_k": 60, "rank": "off", "include": ["scores", "token_alignment"]}
    for hit in hits(live, SILL, **options):
        assert set(hit["scores"]) == {"dense", "lexical", "fused"}
        assert hit["score"] == hit["scores"]["fused"]
        assert hit["token_alignment"] == []
    for hit in hits(live, SILL, retrieve="dense", **options):
        assert hit["scores"] == {"dense": hit["score"]}
        assert hit["token_alignment"] == []


def test_only_the_candidates_are_ranked(live: Client) -> None:
    first = [h["id"] for h in hits(live, SILL, top_k=8, rank="off")]
    ranked = [h["id"] for h in hits(live, SILL, top_k=3, candidates=8, rank="maxsim")]
    everything = [h["id"] for h in hits(live, SILL, top_k=8)]
    assert set(ranked) < set(first)
    assert (
        ranked == [id_ for id_ in [h["id"] for h in hits(live, SILL, top_k=60)] if id_ in first][:3]
    )
    assert everything == [h["id"] for h in hits(live, SILL, top_k=8, candidates=300)]


def test_filters_hold_for_what_is_ranked(live: Client) -> None:
    found = hits(live, SILL, top_k=60, filter={"lang": "fr"}, candidates=60)
    assert len(found) == 20
    assert {h["metadata"]["lang"] for h in found} == {"fr"}
    assert all("maxsim" in h["scores"] for h in found)


@pytest.mark.parametrize("path", ["/v1/search", "/v1/search/batch"])
@pytest.mark.parametrize(
    ("options", "field", "says"),
    [
        ({"rank": "crossencoder"}, "rank", "maxsim"),
        ({"rank": True}, "rank", "maxsim"),
        ({"candidates": 0}, "candidates", "1"),
        ({"candidates": "20"}, "candidates", "integer"),
        ({"candidates": 10_001}, "candidates", "at most 300"),
        ({"candidates": 301}, "candidates", "at most 300"),
        ({"candidates": 9}, "candidates", "top_k, which is 10"),
        ({"candidates": 49, "top_k": 50}, "candidates", "top_k, which is 50"),
    ],
)
def test_what_cannot_be_asked_is_named(
    live: Client, path: str, options: dict[str, Any], field: str, says: str
) -> None:
    asked = {"query": "a cat"} if path == "/v1/search" else {"queries": ["a cat"]}
    problem = assert_problem(live.post(path, {**asked, **options}), 422)
    assert problem["errors"][0]["field"] == field
    assert says in problem["errors"][0]["reason"]


@pytest.mark.parametrize("path", ["/v1/search", "/v1/search/batch"])
def test_more_hits_than_may_be_ranked_are_refused(small_bundle: Path, path: str) -> None:
    asked = {"query": "a cat"} if path == "/v1/search" else {"queries": ["a cat"]}
    with running(settings(small_bundle, max_candidates=20)) as client:
        for options in ({}, {"rank": "maxsim"}, {"candidates": 20}):
            problem = assert_problem(client.post(path, {**asked, **options, "top_k": 21}), 422)
            assert problem["errors"][0]["field"] == "top_k"
            assert "at most 20 hits can be ranked" in problem["errors"][0]["reason"]
        assert client.post(path, {**asked, "top_k": 20}).status == 200
        assert client.post(path, {**asked, "top_k": 60, "rank": "off"}).status == 200
        assert len(hits(client, SILL, top_k=60, rank="off")) == 60


def test_candidates_say_nothing_where_nothing_is_ranked(live: Client, tokenless: Client) -> None:
    plain = hits(live, SILL, top_k=30, rank="off")
    assert hits(live, SILL, top_k=30, rank="off", candidates=5) == plain
    assert len(hits(tokenless, SILL, top_k=30, candidates=5)) == 30
    for client, rank in ((live, "off"), (tokenless, "auto")):  # their limit is one of the schema
        problem = assert_problem(client.search(SILL, rank=rank, candidates=10_001), 422)
        assert problem["errors"][0]["field"] == "candidates"


def test_too_many_candidates_in_all_are_refused(live: Client) -> None:
    """At most 2,500 are ranked for one request; a query without a number of its own has 100."""
    asked = {"queries": ["cat"] * 10, "candidates": 251, "include": []}
    problem = assert_problem(live.post("/v1/search/batch", asked), 413)
    assert "candidates" in problem["detail"]
    assert "2500" in problem["detail"]
    for fewer in ({"candidates": 250}, {"rank": "off"}):
        assert live.post("/v1/search/batch", {**asked, **fewer}).status == 200
    assert live.post("/v1/search/batch", {"queries": ["cat"] * 20, "include": []}).status == 200


def test_a_bundle_without_tokens_names_the_command_that_makes_one(tokenless: Client) -> None:
    problem = assert_problem(tokenless.search("a cat", rank="maxsim"), 422)
    assert problem["errors"][0]["field"] == "rank"
    assert "`lurcher build`" in problem["detail"]
    batch = tokenless.post("/v1/search/batch", {"queries": ["a cat"], "rank": "maxsim"}).json()
    assert batch["results"][0]["error"]["errors"][0]["field"] == "rank"
    plain = hits(tokenless, "a cat", rank="off")
    assert hits(tokenless, "a cat") == plain
    assert hits(tokenless, "a cat", candidates=50) == plain
    assert all(set(hit["scores"]) == {"dense", "lexical", "fused"} for hit in plain)


def test_a_bundle_without_a_reader_names_the_command_that_puts_one_in(live: Client) -> None:
    problem = assert_problem(live.search("a cat", rank="reader"), 422)
    assert problem["errors"][0]["field"] == "rank"
    assert "`lurcher build --answers`" in problem["detail"]


def test_a_bundle_without_tokens_has_no_limit_on_what_it_does_not_rank(tokenless: Client) -> None:
    asked = {"queries": ["cat"] * 200, "candidates": 1_000, "include": [], "top_k": 1}
    assert tokenless.post("/v1/search/batch", asked).status == 200


class Hasty(Snapshot):
    """Has no time left for queries with the word ``hurry``; notes how much the others have."""

    left: list[float] = []  # noqa: RUF012 (of the class: the server opens the snapshot)

    def run(self, queries: Sequence[Query]) -> list[SearchResult | LurcherError]:
        for query in queries:
            if query.deadline is not None:
                self.left.append(query.deadline - perf_counter())
        return super().run([replace(q, deadline=0.0) if "hurry" in q.text else q for q in queries])


def test_a_late_search_is_answered_unranked_and_says_so(small_bundle: Path) -> None:
    late, counted = ["retrieve_lexical", "rank"], 'lurcher_degraded_searches_total{stage="rank"}'
    with running(settings(small_bundle), Hasty) as client:
        body = client.search("hurry to the window", include=["scores", "token_alignment"]).json()
        assert body["degraded"] == late
        assert len(body["hits"]) == 10
        for hit in body["hits"]:
            assert hit["scores"] == {"dense": hit["score"]}
            assert hit["token_alignment"] == []
        assert client.metric(counted) == 1
        off = client.search("hurry to the window", rank="off", retrieve="dense").json()
        assert off["degraded"] == []
        for queries, degraded in ((["a cat", "hurry"], late), (["a cat", "bread"], [])):
            batch = client.post("/v1/search/batch", {"queries": queries}).json()
            assert batch["degraded"] == sorted(degraded)
            scores = batch["results"][0]["hits"][0]["scores"]
            assert set(scores) == {"dense", "lexical", "fused", "maxsim", "rank"}
        assert client.metric(counted) == 2


def test_ranking_has_most_of_the_requests_own_time(small_bundle: Path) -> None:
    with running(settings(small_bundle), Hasty) as client:
        Hasty.left.clear()
        client.search("a cat", timeout_ms=5_000)
        client.search("a cat")
        client.search("a cat", timeout_ms=10**9)
        short, usual, longest = Hasty.left
    assert 2 < short < 5
    assert 7 < usual < 10
    assert 7 < longest < 10


def test_stage_is_timed(live: Client) -> None:
    before = live.metric('lurcher_stage_seconds_count{collection="small",stage="rank"}')
    reply = live.search(SILL)
    assert reply.json()["timings_ms"]["rank"] > 0
    assert "rank;dur=" in reply.headers["server-timing"]
    assert live.metric('lurcher_stage_seconds_count{collection="small",stage="rank"}') == before + 1


def test_a_batch_ranks_as_single_searches_do(live: Client) -> None:
    queries = [SILL, "glacier", "Brot und Hefe"]
    asked = {"queries": queries, "candidates": 20, "top_k": 5, "rank": "maxsim"}
    batch = live.post("/v1/search/batch", asked).json()["results"]
    for item, query in zip(batch, queries, strict=True):
        alone = hits(live, query, candidates=20, top_k=5)
        assert [h["id"] for h in item["hits"]] == [h["id"] for h in alone]
        assert [h["score"] for h in item["hits"]] == pytest.approx(
            [h["score"] for h in alone], abs=1e-3
        )


def test_feedback_still_counts_where_hits_are_ranked(small_bundle: Path, tmp_path: Path) -> None:
    query, wanted = "a sleepy pet", "fr-music-3"
    with running(settings(small_bundle, feedback=tmp_path / "feedback.log")) as client:
        assert hits(client, query, top_k=1)[0]["id"] != wanted
        pairs = [{"query": query, "passage": wanted, "weight": 5}]
        assert client.post("/v1/feedback", {"pairs": pairs}).json()["accepted"] == 1
        first = hits(
            client, query, include=["scores", "contributing_neighbours", "token_alignment"]
        )[0]
    assert first["id"] == wanted
    assert set(first["scores"]) == {"dense", "lexical", "neighbours", "fused", "maxsim", "rank"}
    assert first["score"] == first["scores"]["rank"] > first["scores"]["maxsim"]
    assert first["contributing_neighbours"][0]["query"] == query
    assert first["token_alignment"]
