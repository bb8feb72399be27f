"""Ward's clustering of a passage's tokens: those of a cluster share a code.

Late interaction needs few tokens of a passage (Clavie et al. 2024, "Reducing the Footprint of
Multi-Vector Retrieval with Minimal Performance Impact via Token Pooling"). Tokens lose least if they are
merged before they are rounded to bits. Bipartite matching (Bolya et al. 2023, "Token Merging") is simpler
but merges distant tokens in its first rounds: at a third of the tokens it cost more than twice the quality.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lurcher.models.tokens.products import product

Vectors = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


def ward(vectors: Vectors, count: int) -> Integers:
    """The cluster (n,) int64 of each of ``vectors`` (n, d) float32, in at most ``count`` clusters.

    Clusters are numbered from 0 in the order of their first vectors. Merging clusters a and b costs
    n_a n_b / (n_a + n_b) |c_a - c_b|^2, by which the squared distances of vectors to their cluster's
    centre grow (Ward 1963). Merging the cheapest pair first, as in the definition, is slow; all pairs that
    are each other's nearest can be merged at once, and give the same tree (Bruynooghe 1978).
    """
    n = len(vectors)
    merges = _tree(vectors, n - count) if n > count else []
    cluster = np.arange(n)
    for kept, absorbed in reversed(merges):  # parents first: a cluster's fate decides its members'
        cluster[absorbed] = cluster[kept]
    return np.unique(cluster, return_inverse=True)[1]


def _tree(vectors: Vectors, wanted: int) -> list[tuple[int, int]]:
    """The ``wanted`` cheapest merges (kept, absorbed), children first; the first vector names a cluster."""
    names, centres, sizes = np.arange(len(vectors)), vectors, np.ones(len(vectors), np.float32)
    floors = np.zeros(len(vectors), np.float32)  # per cluster, the cost of its last merge
    costs: list[npt.NDArray[np.float32]] = []
    kept: list[Integers] = []
    absorbed: list[Integers] = []
    merged = 0
    while len(names) > 1:
        cost = _costs(centres, sizes)
        nearest = cost.argmin(axis=1)
        least = cost[np.arange(len(names)), nearest]
        if (
            merged >= wanted
            and np.partition(np.concatenate(costs), wanted - 1)[wanted - 1] <= least.min()
        ):
            break  # what is left to merge costs more than what was
        # With rounding the costs (a, b) and (b, a) may differ, and then no two are each other's nearest.
        cheapest = least.argmin()
        nearest[nearest[cheapest]] = cheapest
        a = np.flatnonzero(
            (nearest[nearest] == np.arange(len(names))) & (np.arange(len(names)) < nearest)
        )
        b = nearest[a]
        # Rounding may make a merge look cheaper than those it is made of.
        floors[a] = np.maximum(least[a], np.maximum(floors[a], floors[b]))
        costs.append(floors[a])
        kept.append(names[a])
        absorbed.append(names[b])
        merged += len(a)
        both = sizes[a] + sizes[b]
        shares = (sizes[a] / both)[:, None]
        centres = centres.copy()
        centres[a] = shares * centres[a] + (1 - shares) * centres[b]
        sizes[a] = both
        left = np.ones(len(names), bool)
        left[b] = False
        names, centres, sizes, floors = names[left], centres[left], sizes[left], floors[left]
    chosen = np.sort(np.argsort(np.concatenate(costs), kind="stable")[:wanted])
    pairs = np.stack([np.concatenate(kept), np.concatenate(absorbed)], axis=1)
    return [(int(i), int(j)) for i, j in pairs[chosen]]


def _costs(centres: Vectors, sizes: Vectors) -> Vectors:
    """The cost (n, n) float32 of merging each pair; infinite on the diagonal."""
    squares = np.einsum("nd,nd->n", centres, centres)
    cost = product(centres, -2 * centres.T)
    cost += squares[:, None]
    cost += squares
    np.maximum(cost, 0, out=cost)
    inverse = 1 / sizes
    cost /= inverse[:, None] + inverse
    np.fill_diagonal(cost, np.inf)
    return cost
