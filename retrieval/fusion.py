"""How the candidates of several retrievers become one list. Pure functions on arrays.

Formulas of what known queries add are those of ``lurcher.models.neighbours``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors
from lurcher.models.neighbours.adapted import adapted_scores
from lurcher.models.neighbours.votes import mix
from lurcher.retrieval.query import Candidates

# The vectors (n, d) of rows (n,).
VectorsOf = Callable[[Rows], Vectors]


def fuse_votes(
    dense: Candidates, voted: Candidates, vector: Vectors, vectors: VectorsOf, weight: float, k: int
) -> Candidates:
    """The best ``k`` of the union of both, scored ``weight`` dense + (1 - ``weight``) neighbours.

    ``dense`` has the column of that name, ``voted`` the column ``neighbours``; each passage's inner product
    with the query's ``vector`` (d,) is computed where ``dense`` does not have it. Votes only raise scores, so
    that of the passages without any no more than the first ``k`` can be among the best.
    """
    some = voted.columns["neighbours"] > 0
    voted = voted.take(np.flatnonzero(some))
    rows = np.union1d(dense.rows, voted.rows)  # (n,) ascending
    neighbours = np.zeros(len(rows), np.float32)
    neighbours[np.searchsorted(rows, voted.rows)] = voted.columns["neighbours"]
    products = np.full(len(rows), np.nan, np.float32)
    products[np.searchsorted(rows, dense.rows)] = dense.columns["dense"]
    missing = np.isnan(products)
    products[missing] = (vectors(rows[missing]) * vector).sum(axis=1)
    dense_weight = np.full(len(rows), weight, np.float32)
    fused = mix(products, neighbours, dense_weight)
    best = np.lexsort((-products, -fused))[:k]  # where only votes count, most passages have none
    columns = {
        "dense": products, "neighbours": neighbours, "fused": fused,
        "dense_weight": dense_weight,
    }  # fmt: skip
    return Candidates(rows, columns).take(best)


def fuse_adapted(
    rows: Rows, passages: Vectors, means: Vectors, vector: Vectors, weight: float, k: int
) -> Candidates:
    """The best ``k`` of ``rows`` (n,), each passage moved towards the mean of its known queries.

    ``passages`` and ``means`` (n, d) are theirs, a mean of zeros where there is no known query; ``weight`` is
    lambda.
    """
    dense, mean = passages @ vector, means @ vector
    agreement = (passages * means).sum(axis=1)
    moved = adapted_scores(dense, mean, agreement, weight)
    fused = np.where(means.any(axis=1), moved, dense)
    columns = {
        "dense": dense, "neighbours": mean, "fused": fused,
        "dense_weight": adapted_weights(means, weight),
    }  # fmt: skip
    return Candidates(rows, columns).take(np.argsort(-fused, kind="stable")[:k])


def adapted_weights(means: Vectors, weight: float) -> Vectors:
    """What the passages' own scores count, (n,): all, where no known query has moved them."""
    return np.where(means.any(axis=1), np.float32(weight), np.float32(1))
