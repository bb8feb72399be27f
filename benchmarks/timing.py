"""Ways to do the same thing, timed in turns, so that a machine that slows down slows all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

_TURN = 25  # queries


@dataclass(frozen=True)
class Way:
    """One way to score the candidates of a query, named by its number; only every so manieth is asked."""

    run: Callable[[int], object]
    every: int = 1


def take_turns(
    ways: Mapping[str, Way], queries: int, turn: int = _TURN
) -> dict[str, dict[int, float]]:
    """The seconds of each way by the number of the query, of those from 0 to ``queries`` that it takes.

    A turn is so many queries: more leave caches as a server's are, fewer share out other work's load better.
    """
    seconds: dict[str, dict[int, float]] = {name: {} for name in ways}
    for first in range(0, queries, turn):
        for name, way in ways.items():
            mine = [i for i in range(first, min(first + turn, queries)) if i % way.every == 0]
            if mine and way.every == 1:
                way.run(mine[0])  # what another's turn has pushed out of the caches comes back
            for i in mine:
                begun = perf_counter()
                way.run(i)
                seconds[name][i] = perf_counter() - begun
    return seconds


def ratio(seconds: Mapping[int, float], to: Mapping[int, float]) -> float:
    """How many times the median of ``to`` the median of ``seconds`` is, for the queries of the first."""
    return float(np.median(list(seconds.values())) / np.median([to[i] for i in seconds]))


def paired_ratio(seconds: Mapping[int, float], to: Mapping[int, float]) -> float:
    """The median over queries of how many times what ``to`` takes ``seconds`` is.

    A busy machine spreads it less than ``ratio``: both were timed within moments, on the same query.
    """
    return float(np.median([of / to[i] for i, of in seconds.items()]))


def spread(
    ratios: Sequence[Sequence[float]],
    percentiles: Sequence[int],
    shares: tuple[float, float, float],
) -> str:
    """In words, the quantiles ``shares`` over turns of the ratios (t, p) of ``percentiles`` in each turn."""
    found = np.quantile(ratios, shares, axis=0).T
    return ", ".join(
        f"p{one} {low:.2f} to {middle:.2f} to {high:.2f}"
        for one, (low, middle, high) in zip(percentiles, found, strict=True)
    )
