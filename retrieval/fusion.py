"""How the candidates of several retrievers become one list, and what a ranker's score does to theirs.

Pure functions on arrays. Formulas of what known queries add are those of ``lurcher.models.neighbours``; a
passage to which they add nothing keeps its score.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors
from lurcher.models.neighbours.adapted import gated_scores
from lurcher.models.neighbours.nearness import nearness
from lurcher.models.neighbours.votes import boost, raised
from lurcher.order import best_first, evened, inner_products
from lurcher.retrieval.query import Candidates

# The vectors (n, d) of rows (n,).
VectorsOf = Callable[[Rows], Vectors]


def fuse_votes(
    dense: Candidates, voted: Candidates, vector: Vectors, vectors: VectorsOf, weight: float, k: int
) -> Candidates:
    """The best ``k`` of the union of both, each raised by its votes; ``weight`` is lambda.

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
    products[missing] = inner_products(vectors(rows[missing]), vector)
    boosts = boost(neighbours, weight)
    fused = evened(raised(products, boosts))
    columns = {"dense": products, "neighbours": neighbours, "fused": fused, "boost": boosts}
    return Candidates(rows, columns).take(best_first(fused, rows, k))


def fuse_adapted(
    rows: Rows, passages: Vectors, means: Vectors, vector: Vectors, weight: float, k: int
) -> Candidates:
    """The best ``k`` of ``rows`` (n,), each passage moved towards the mean of its known queries.

    ``passages`` and ``means`` (n, d) are theirs, a mean of zeros where there is no known query; ``weight`` is
    lambda.
    """
    dense, mean = inner_products(passages, vector), inner_products(means, vector)
    agreement = np.einsum("nd,nd->n", passages, means)
    fused = evened(gated_scores(dense, mean, agreement, weight))
    columns = {
        "dense": dense, "neighbours": mean, "fused": fused,
        "dense_weight": adapted_weights(mean, weight),
    }  # fmt: skip
    return Candidates(rows, columns).take(best_first(fused, rows, k))


def adapted_weights(mean: Vectors, weight: float) -> Vectors:
    """What the passages' own scores count, (n,): all, where the query is not near to their known ones.

    ``mean`` (n,) is its inner product with their mean, 0 where there are none.
    """
    return 1 - nearness(mean) * np.float32(1 - weight)


def stand_in(columns: Mapping[str, Vectors], scores: Vectors, bent: bool = True) -> Vectors:
    """The first stage's scores with ``scores`` (C,), a ranker's, in the place of ``dense``.

    ``columns`` are the candidates'. What known queries add to a passage's score stays. ``bent`` is that of
    ``raised``: whether the ranker's scores have the scale of cosines.
    """
    if "boost" in columns:
        return raised(scores, columns["boost"], bent)
    if "fused" in columns:
        return columns["fused"] + columns["dense_weight"] * (scores - columns["dense"])
    return scores
