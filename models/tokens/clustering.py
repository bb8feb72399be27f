"""Which tokens of a passage are alike enough to share a code: Ward's clustering.

Late interaction needs few tokens of a passage (Clavie et al. 2024, "Reducing the Footprint of
Multi-Vector Retrieval with Minimal Performance Impact via Token Pooling"). Merged before anything is
rounded to a bit, they lose least. Bipartite matching (Bolya et al. 2023, "Token Merging") is simpler, but
merges what is far apart in its first rounds: at a third of the tokens it cost more than twice the quality.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lurcher.models.tokens.products import product

Vectors = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


def ward(points: Vectors, count: int) -> Integers:
    """The cluster (n,) int64 of each of ``points`` (n, d) float32, in ``count`` clusters at most.

    Clusters are numbered from 0 by their first point. Merging clusters a and b costs
    n_a n_b / (n_a + n_b) |c_a - c_b|^2, by which the squared distances of points to their cluster's
    centre grow (Ward 1963). Merging the cheapest pair first, as the definition has it, is slow; pairs
    that are each other's nearest can all be merged at once, and give the same tree (Bruynooghe 1978).
    """
    n = len(points)
    merges = _tree(points, n - count) if n > count else []
    cluster = np.arange(n)
    for kept, gone in reversed(merges):  # a later merge says what becomes of the earlier one's
        cluster[gone] = cluster[kept]
    return np.unique(cluster, return_inverse=True)[1]


def _tree(points: Vectors, wanted: int) -> list[tuple[int, int]]:
    """The ``wanted`` cheapest merges, children first; a cluster is named by its first point."""
    names, centres, sizes = np.arange(len(points)), points, np.ones(len(points), np.float32)
    floors = np.zeros(len(points), np.float32)  # of each cluster, what its last merge cost
    costs: list[npt.NDArray[np.float32]] = []
    kept: list[Integers] = []
    gone: list[Integers] = []
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
        # Rounding may see the two sides of a pair differently, and then no two are each other's nearest.
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
        gone.append(names[b])
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
    pairs = np.stack([np.concatenate(kept), np.concatenate(gone)], axis=1)
    return [(int(i), int(j)) for i, j in pairs[chosen]]


def _costs(centres: Vectors, sizes: Vectors) -> Vectors:
    """What merging each pair would cost (n, n) float32; infinite on the diagonal."""
    squares = np.einsum("nd,nd->n", centres, centres)
    cost = product(centres, -2 * centres.T)
    cost += squares[:, None]
    cost += squares
    np.maximum(cost, 0, out=cost)
    inverse = 1 / sizes
    cost /= inverse[:, None] + inverse
    np.fill_diagonal(cost, np.inf)
    return cost
