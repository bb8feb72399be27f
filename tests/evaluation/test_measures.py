"""Retrieval measures by hand, and how sure they are."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("ir_measures", reason="the extra [eval] is not installed")

from lurcher.evaluation.measures import MEASURES, Figure, interval, per_query


def one(found: list[str], grades: dict[str, int]) -> dict[str, float]:
    """The measures of one query that found these passages in this order."""
    values = per_query(["q"], [[(passage, 0.0) for passage in found]], {"q": grades})
    return {name: float(value[0]) for name, value in values.items()}


def test_each_measure_by_hand() -> None:
    found = [f"p{i}" for i in range(100)]
    measured = one(found, {"p1": 1, "p4": 1, "p30": 1, "nowhere": 1})
    assert measured == {
        "nDCG@10": pytest.approx(
            (1 / log2(3) + 1 / log2(6)) / (1 + 1 / log2(3) + 1 / log2(4) + 1 / log2(5))
        ),
        "MRR@10": pytest.approx(1 / 2),
        "Recall@10": pytest.approx(2 / 4),
        "Recall@100": pytest.approx(3 / 4),
    }


def test_a_grade_counts_as_much_as_it_says() -> None:
    """The linear gain of trec_eval, as BEIR publishes it; not 2^grade - 1."""
    assert one(["b", "a"], {"a": 3, "b": 1})["nDCG@10"] == pytest.approx(
        (1 + 3 / log2(3)) / (3 + 1 / log2(3))
    )


def test_the_order_shown_is_what_counts_not_the_score() -> None:
    """Equal scores are no tie to be broken by id, and a late high score is late."""
    rankings = [[("z", 0.5), ("a", 0.5)], [("z", 0.1), ("a", 0.9)]]
    values = per_query(["q", "r"], rankings, {"q": {"z": 1}, "r": {"z": 1}})
    assert values["MRR@10"].tolist() == [1, 1]


def test_values_come_in_the_order_asked_and_nothing_found_is_zero() -> None:
    rankings: list[list[tuple[str, float]]] = [[("x", 1.0)], [], [("a", 1.0)], [("a", 1.0)]]
    qrels = {"hit": {"a": 1}, "miss": {"a": 1}, "none": {"a": 1}, "zero": {"a": 0}, "other": {}}
    values = per_query(["miss", "none", "hit", "zero"], rankings, qrels)
    assert set(values) == set(MEASURES)
    for found in values.values():
        assert found.tolist() == [0, 0, 1, 0]


def test_as_many_rankings_as_queries() -> None:
    with pytest.raises(ValueError, match="shorter"):
        per_query(["q", "r"], [[]], {"q": {}, "r": {}})


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_the_mean_lies_in_its_interval(values: list[float]) -> None:
    found = interval(np.array(values))
    assert found.mean == pytest.approx(np.mean(values))
    assert min(values) - 1e-9 <= found.low <= found.mean + 1e-9
    assert found.mean - 1e-9 <= found.high <= max(values) + 1e-9


def test_the_interval_is_that_of_the_mean() -> None:
    """Two standard errors to each side, for a sample large enough."""
    values = np.random.default_rng(0).normal(5, 1, 400)
    found = interval(values)
    error = values.std() / 20
    assert found.mean - found.low == pytest.approx(1.96 * error, rel=0.05)
    assert found.high - found.mean == pytest.approx(1.96 * error, rel=0.05)
    assert interval(np.tile(values, 4)).high - found.mean < 0.6 * (found.high - found.mean)


def test_a_seed_gives_the_same_interval_and_values_that_agree_none() -> None:
    values = np.random.default_rng(0).random(30)
    assert interval(values, 1) == interval(values, 1)
    assert interval(values, 1) != interval(values, 2)
    assert interval(np.full(9, 0.25)) == Figure(0.25, 0.25, 0.25)
