"""Feedback and removals that are refused: what is at fault is named, and nothing is taken."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from lurcher.feedback.log import read_log
from tests.server.feedback.giving import PATH, give, judged, pair, remove
from tests.server.serving import Client, assert_problem


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_feedback_is_off_unless_a_log_is_named(live: Client, method: str) -> None:
    body = json.dumps({"pairs": [pair()]}).encode() if method == "POST" else None
    headers = {"Content-Type": "application/json"}
    problem = assert_problem(live.request(method, PATH, body, headers), 403)
    assert "setting feedback = FILE" in problem["detail"]


def test_unknown_passages_are_refused_one_by_one(client: Client, log: Path) -> None:
    reply = give(client, pair(passage="no such"), pair(), pair(passage="\x00'; --")).json()
    assert reply["accepted"] == 1
    assert reply["refused"] == [
        {"index": i, "field": f"pairs.{i}.passage", "reason": "no passage has this id"}
        for i in (0, 2)
    ]
    assert re.fullmatch("[0-9a-f]{32}", reply["key"])
    assert len(judged(log)) == 1
    before = read_log(log).sequence
    assert give(client, pair(passage="no such")).json()["accepted"] == 0
    assert read_log(log).sequence == before
    assert client.metric('lurcher_feedback_pairs_total{outcome="accepted"}') == 1
    assert client.metric('lurcher_feedback_pairs_total{outcome="refused"}') == 3
    assert client.metric("lurcher_learnt_pairs") == 1


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "keys"),
        ("keys=a&before=3", "keys"),
        ("before=yesterday", "before"),
        ("before=nan", "before"),
        ("before=1e999", "before"),
        ("before=", "before"),
        ("key=a", "key"),
        ("before=9999-99-99", "before"),
        ("keys=" + "&keys=".join("x" * 1_001), "keys"),
    ],
)
def test_removal_that_is_not_clear_is_refused(client: Client, query: str, field: str) -> None:
    problem = assert_problem(remove(client, query), 422)
    assert problem["errors"][0]["field"] == field


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "pairs"),
        ({"pairs": []}, "pairs"),
        ({"pairs": [pair()], "bundel": "small"}, "bundel"),
        ({"pairs": [pair(), pair(weight=0)]}, "pairs.1.weight"),
        ({"pairs": [pair(weight=-1)]}, "pairs.0.weight"),
        ({"pairs": [pair(weight=1_000.5)]}, "pairs.0.weight"),
        ({"pairs": [pair(weight=math.nan)]}, "pairs.0.weight"),
        ({"pairs": [pair(weight=math.inf)]}, "pairs.0.weight"),
        ({"pairs": [pair(weight="1")]}, "pairs.0.weight"),
        ({"pairs": [pair(weight=True)]}, "pairs.0.weight"),
        ({"pairs": [pair("  \n")]}, "pairs.0.query"),
        ({"pairs": [pair("x" * 101)]}, "pairs.0.query"),
        ({"pairs": [pair("\ud800")]}, "pairs.0.query"),
        ({"pairs": [pair(passage="\ud800")]}, "pairs.0.passage"),
        ({"pairs": [pair(passage="")]}, "pairs.0.passage"),
    ],
)
def test_field_at_fault_is_named_and_nothing_is_taken(
    client: Client, log: Path, body: Any, field: str
) -> None:
    problem = assert_problem(client.post(PATH, body), 422)
    assert problem["errors"][0]["field"] == field
    assert read_log(log).sequence == 0


@pytest.mark.parametrize("key", ["a b", "x" * 201, "é"])
def test_key_that_cannot_be_one_is_named(client: Client, key: str) -> None:
    problem = assert_problem(give(client, pair(), key=key), 422)
    assert problem["errors"][0]["field"] == "Idempotency-Key"


def test_too_many_pairs_and_another_bundle(client: Client) -> None:
    assert "at most 6" in assert_problem(give(client, *[pair()] * 7), 413)["detail"]
    problem = assert_problem(give(client, pair(), bundle="large"), 409)
    assert "'small' is loaded" in problem["detail"]


def test_beyond_the_limit_new_pairs_are_refused_and_known_ones_gain_weight(
    client: Client,
) -> None:
    for i in range(2):
        give(client, *[pair(f"query {i}-{j}") for j in range(4)])
    problem = assert_problem(give(client, pair("query 0-0"), pair("new")), 507)
    assert "lurcher adapt --from-log" in problem["detail"]
    assert client.get(PATH).json()["judgements"] == 8
    assert give(client, pair("Query  0-0"), pair("query 0-1")).json()["accepted"] == 2
