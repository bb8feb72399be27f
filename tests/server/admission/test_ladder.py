"""The degradation ladder: which ranker a query loses, when, and that it is told."""

from __future__ import annotations

import pytest

from lurcher.retrieval.query import Query, RankMode
from lurcher.server.admission.ladder import lowered

COSTS = {"reader": 100.0, "decoder": 9.0, "t5": 90.0, "maxsim": 5.0, "auto": 5.0, "off": 2.0}


def rank_at(rank: RankMode, pressure: float, **costs: float) -> tuple[RankMode, tuple[str, ...]]:
    prices = COSTS | costs
    asked = Query("q", rank=rank)
    query, price = lowered(asked, prices[rank], pressure, lambda one: prices[one.rank])
    assert price == prices[query.rank]
    return query.rank, query.left_out


@pytest.mark.parametrize("rank", ["reader", "decoder", "t5", "maxsim", "auto", "off"])
def test_without_pressure_nothing_is_left_out(rank: RankMode) -> None:
    assert rank_at(rank, 0.5) == (rank, ())


@pytest.mark.parametrize("rank", ["reader", "decoder", "t5"])
def test_rankers_give_way_to_maxsim_and_then_to_nothing(rank: RankMode) -> None:
    assert rank_at(rank, 0.6) == ("maxsim", ("rank",))
    assert rank_at(rank, 0.8) == ("off", ("rank",))


@pytest.mark.parametrize("rank", ["maxsim", "auto"])
def test_the_usual_ranking_is_left_out_on_the_last_rung(rank: RankMode) -> None:
    assert rank_at(rank, 0.6) == (rank, ())
    assert rank_at(rank, 0.8) == ("off", ("rank",))


def test_what_would_save_little_is_kept() -> None:
    assert rank_at("maxsim", 0.9, off=4.5) == ("maxsim", ())
    assert rank_at("reader", 0.9, off=4.5) == ("maxsim", ("rank",))


def test_what_is_not_ranked_stays_as_it_is() -> None:
    assert rank_at("off", 1.0) == ("off", ())
