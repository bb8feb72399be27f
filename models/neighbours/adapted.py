"""Adapted mode (PEFA-XS): each passage's vector moved towards the queries it is known to answer.

That is one index, and no other cost.

From PEFA (Chang et al. 2024, "PEFA: Parameter-Free Adapters for Large-scale Embedding-based Retrieval
Models", section 3.2), with all vectors at norm 1. For passage p_j and the known queries q_i labelled
y_ij with it::

    n_j = unit(sum_i y_ij q_i)             its known queries' mean direction; 0 where it has none
    e_j = lambda p_j + (1 - lambda) n_j    as published

As published, e_j shrinks where p_j and n_j differ, and the score of every passage that has no known query
is multiplied by lambda, so that it sinks below those that have one. Departure: e_j is brought back to norm
1, and where there is no known query e_j is p_j.

Since e_j lies between p_j and n_j, its score follows from theirs and from how well the two agree, without
the vector itself: that is how candidates are scored and a lambda is tried.

Another departure: a query that has nothing to do with n_j would find p_j's score changed all the same, so e_j
counts as far as the query is near to n_j (``nearness``)::

    f_j = <q, p_j> + near(<q, n_j>) (<q, e_j> - <q, p_j>)
"""

from __future__ import annotations

import numpy as np

from lurcher.models.neighbours.nearness import Array, nearness

_TINY = np.float32(1e-12)


def unit(vectors: Array) -> Array:
    """``vectors`` (..., d) at norm 1; zeros stay zeros."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, _TINY), np.float32)


def adapted_vectors(passages: Array, means: Array, dense_weight: float) -> Array:
    """The adapted vectors e_j (n, d) of ``passages`` p_j (n, d) and ``means`` n_j (n, d).

    ``dense_weight`` is lambda, within [0, 1].
    """
    known = means.any(axis=-1, keepdims=True)
    fused = unit(dense_weight * passages + (1 - dense_weight) * means)
    return np.where(known, fused, passages)


def gated_scores(dense: Array, mean: Array, agreement: Array, dense_weight: float | Array) -> Array:
    """The scores f_j (n,): ``dense`` where a query is not near to a passage's known ones, or it has none.

    Arguments are those of ``adapted_scores``, with a ``mean`` of 0 where there is no known query.
    """
    near = nearness(mean)
    some = np.where(near > 0, dense, 0)  # others may be minus infinity, which is no passage
    moved = adapted_scores(some, mean, agreement, dense_weight)
    return np.asarray(dense + near * (moved - some), np.float32)


def adapted_scores(
    dense: Array, mean: Array, agreement: Array, dense_weight: float | Array
) -> Array:
    """<q, e_j> (n,) from ``dense`` <q, p_j>, ``mean`` <q, n_j> and ``agreement`` <p_j, n_j>.

    For passages that have known queries; the others' score is ``dense``. ``dense_weight`` is lambda, for
    all or for each.
    """
    rest = 1 - dense_weight
    square = dense_weight**2 + rest**2 + 2 * dense_weight * rest * agreement
    fused = dense_weight * dense + rest * mean
    return np.asarray(fused / np.sqrt(np.maximum(square, _TINY)), np.float32)
