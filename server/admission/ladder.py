"""The degradation ladder: a cheaper ranker, or none, for a query that would otherwise make a queue grow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from lurcher.retrieval.query import Query, RankMode

# By pressure: from which on which ranks are given up for which. `auto` is maxsim, or nothing.
_RUNGS: list[tuple[float, set[RankMode], RankMode]] = [
    (0.5, {"reader", "t5", "decoder"}, "maxsim"),
    (0.75, {"maxsim", "auto"}, "off"),
]
# A rung that saves less than a fifth is not worth what it costs in quality.
_WORTHWHILE = 0.8


def lowered(
    query: Query, price: float, pressure: float, price_of: Callable[[Query], float]
) -> tuple[Query, float]:
    """``query`` and its ``price``; ranked in a cheaper way, where ``pressure`` asks for it and much is saved.

    ``pressure`` is the wait that it would have, over the longest that is allowed. What is left out is named
    in ``left_out``.
    """
    for pressed, ranks, below in _RUNGS:
        if pressure > pressed and query.rank in ranks:
            cheaper = replace(query, rank=below, left_out=("rank",))
            if (lower := price_of(cheaper)) <= _WORTHWHILE * price:
                query, price = cheaper, lower
    return query, price
