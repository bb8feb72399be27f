"""The cost model: what it begins with, and how measurements move it."""

from __future__ import annotations

import pytest

from lurcher.retrieval.costs import CostModel

KINDS = ["maxsim", "decoder", "t5", "reader", "read", "query", "question", "feedback"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_work_has_an_estimate_that_grows_with_the_work(kind: str) -> None:
    costs = CostModel()
    assert costs.estimate(kind, 0) == 0
    assert 0 < costs.estimate(kind, 1) < 1
    assert costs.estimate(kind, 300) == pytest.approx(300 * costs.estimate(kind, 1))


def test_given_estimates_take_the_place_of_the_defaults() -> None:
    costs = CostModel({"maxsim": 2.0})
    assert costs.estimate("maxsim", 3) == 6.0
    assert costs.estimate("decoder", 1) == CostModel().estimate("decoder", 1)


def test_a_measurement_moves_the_estimate_by_a_tenth_of_the_difference() -> None:
    costs = CostModel({"read": 1.0})
    costs.observe("read", 10, 30.0)  # 3 seconds each
    assert costs.estimate("read", 1) == pytest.approx(1.2)
    assert costs.estimate("maxsim", 1) == CostModel().estimate("maxsim", 1)


def test_estimates_come_to_what_is_measured() -> None:
    costs = CostModel({"read": 100.0})
    for _ in range(200):
        costs.observe("read", 4, 2.0)
    assert costs.estimate("read", 1) == pytest.approx(0.5, rel=1e-4)


def test_relaxing_lowers_an_estimate_but_never_to_nothing() -> None:
    costs = CostModel({"maxsim": 1.0})
    before = 1.0
    for _ in range(50):
        costs.relax("maxsim")
        after = costs.estimate("maxsim", 1)
        assert 0 < after < before
        before = after


def test_models_share_nothing() -> None:
    changed = CostModel()
    changed.observe("read", 1, 1_000.0)
    assert CostModel().estimate("read", 1) != changed.estimate("read", 1)
