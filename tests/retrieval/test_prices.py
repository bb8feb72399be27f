"""Prices: what costs more has a higher one, and what cannot be known does not matter much."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lurcher.retrieval.costs import CostModel
from lurcher.retrieval.prices import price_of_query, price_of_rerank, price_of_text
from lurcher.retrieval.query import Plan, Query, ReadOptions
from lurcher.retrieval.rerank import RerankRequest

PLAN = Plan("maxsim", "off", ("dense", "lexical"), 100, 75)
QUERY = Query("how do I compress a file")


def price(query: Query = QUERY, plan: Plan = PLAN) -> float:
    return price_of_query(query, plan, CostModel(), 256)


@pytest.mark.parametrize(
    ("query", "plan"),
    [
        (replace(QUERY, text="how do I compress a file " * 20), PLAN),
        (QUERY, replace(PLAN, depth=1_000)),
        (QUERY, replace(PLAN, ranker="reader")),
        (replace(QUERY, extras=frozenset({"highlights"})), PLAN),
        (replace(QUERY, extras=frozenset({"token_alignment"})), PLAN),
        (replace(QUERY, read=ReadOptions()), PLAN),
    ],
)
def test_what_is_more_work_costs_more(query: Query, plan: Plan) -> None:
    assert price(query, plan) > 1.3 * price()


def test_what_is_not_ranked_costs_less() -> None:
    assert price(plan=replace(PLAN, ranker=None)) < price()


def test_of_a_text_only_what_is_read_costs_anything() -> None:
    long = price_of_text("word " * 10_000, CostModel(), 256)
    assert long == price_of_text("word " * 20_000, CostModel(), 256)
    assert long > price_of_text("word", CostModel(), 256)


def test_reranking_costs_by_the_number_of_passages() -> None:
    few, many = (
        price_of_rerank(RerankRequest("q", np.arange(n)), CostModel(), 256) for n in (10, 1_000)
    )
    assert many > 3 * few


def test_a_measured_unit_changes_prices() -> None:
    costs = CostModel()
    before = price_of_query(QUERY, PLAN, costs, 256)
    costs.observe("maxsim", 1, 1.0)
    assert price_of_query(QUERY, PLAN, costs, 256) > before
