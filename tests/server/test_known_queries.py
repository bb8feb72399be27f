"""Known queries over HTTP: the field ``neighbours``, the scores, and what contributed to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lurcher.models.neighbours.votes import boost, raised
from tests.server.serving import Client, assert_problem, running, settings
from tests.tickets import TICKET


@pytest.fixture(scope="module")
def known(ticket_bundle: Path) -> Iterator[Client]:
    """A server whose passages answer tickets."""
    with running(settings(ticket_bundle)) as client:
        yield client


@pytest.mark.parametrize("mode", ["auto", "adapted", "voting"])
def test_a_known_query_finds_its_passage(
    known: Client, small_records: list[dict[str, Any]], mode: str
) -> None:
    for i in (3, 17, 44):
        body = known.search(
            TICKET.format(i * 7919),
            neighbours={"mode": mode},
            include=["scores", "contributing_neighbours"],
        ).json()
        first = body["hits"][0]
        scores = first["scores"]
        assert first["id"] == small_records[i]["id"]
        assert first["score"] == scores["rank"]
        assert scores["fused"] > scores["dense"]
        nearest = first["contributing_neighbours"][0]
        assert (nearest["id"], nearest["query"]) == (f"t{i}", TICKET.format(i * 7919))
        assert nearest["similarity"] == pytest.approx(1, abs=1e-3)
        assert 0 < sum(one["share"] for one in first["contributing_neighbours"]) <= 1 + 1e-5


def test_off_leaves_known_queries_out(known: Client) -> None:
    reply = known.search(
        TICKET.format(7919),
        neighbours={"mode": "off"},
        rank="off",
        retrieve="dense",
        include=["scores", "contributing_neighbours"],
    )
    for hit in reply.json()["hits"]:
        assert hit["scores"] == {"dense": hit["score"]}
        assert hit["contributing_neighbours"] == []


def test_lambda_weighs_the_passages_own_score(known: Client) -> None:
    text = TICKET.format(7919)
    bare = known.search(text, neighbours={"mode": "off"}, include=[]).json()["hits"]
    for mode in ("adapted", "voting"):
        all_dense = known.search(
            text, neighbours={"mode": mode, "lambda": 1}, include=["scores"]
        ).json()
        assert [h["id"] for h in all_dense["hits"]] == [h["id"] for h in bare]
        for hit in known.search(text, neighbours={"mode": "voting", "lambda": 0.25}).json()["hits"]:
            scores = hit["scores"]
            added = boost(np.float32([scores["neighbours"]]), 0.25)
            (wanted,) = raised(np.float32([scores["dense"]]), added).tolist()
            assert scores["fused"] == pytest.approx(wanted, abs=1e-5)


def test_filters_hold_for_voted_passages_too(known: Client) -> None:
    for mode in ("adapted", "voting"):
        reply = known.search(
            TICKET.format(0), neighbours={"mode": mode}, filter={"lang": "fr"}, top_k=60
        )
        assert {hit["metadata"]["lang"] for hit in reply.json()["hits"]} == {"fr"}
        assert len(reply.json()["hits"]) == 20


@pytest.mark.parametrize(
    ("neighbours", "field"),
    [
        ({"lambda": -0.1}, "neighbours.lambda"),
        ({"lambda": 1.1}, "neighbours.lambda"),
        ({"lambda": "0.5"}, "neighbours.lambda"),
        ({"mode": "both"}, "neighbours.mode"),
        ({"k": 3}, "neighbours.k"),
        ("voting", "neighbours"),
    ],
)
def test_what_cannot_be_asked_is_named(known: Client, neighbours: Any, field: str) -> None:
    problem = assert_problem(known.search("a cat", neighbours=neighbours), 422)
    assert problem["errors"][0]["field"] == field


def test_a_bundle_without_known_queries_says_so(live: Client) -> None:
    problem = assert_problem(live.search("a cat", neighbours={"mode": "adapted"}), 422)
    assert problem["errors"][0]["field"] == "neighbours.mode"
    assert "lurcher adapt" in problem["detail"]
    plain = live.search("a cat", include=[]).json()["hits"]
    for mode in ("auto", "voting"):
        assert live.search("a cat", neighbours={"mode": mode}, include=[]).json()["hits"] == plain


def test_a_batch_takes_the_same_options(known: Client) -> None:
    texts = [TICKET.format(i * 7919) for i in range(5)]
    reply = known.post(
        "/v1/search/batch", {"queries": texts, "neighbours": {"mode": "voting"}, "top_k": 1}
    )
    alone = [
        known.search(text, neighbours={"mode": "voting"}, top_k=1).json()["hits"] for text in texts
    ]
    for item, hits in zip(reply.json()["results"], alone, strict=True):
        assert item["hits"][0]["id"] == hits[0]["id"]
        assert item["hits"][0]["score"] == pytest.approx(hits[0]["score"], abs=1e-5)
