"""PEFA as published, and two alternatives, for ``python -m experiments.pefa``.

Arguments are those of lurcher.models.neighbours.adapted and .votes, which say what Lurcher does instead.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lurcher.models.neighbours.nearness import Array
from lurcher.models.neighbours.votes import Votes


def published_votes(votes: Votes, mean: bool) -> Array:
    """What each entry of ``votes`` adds as published (PEFA, section 3.3), (n,); ``mean`` divides by k."""
    share = 1 / votes.similarities.shape[1] if mean else 1.0
    return np.asarray(
        votes.similarities.ravel()[votes.neighbour] * share * (votes.label > 0), np.float32
    )


def per_passage_weight(strength: float, known: npt.NDArray[np.int64]) -> Array:
    """lambda_j = c / (c + n_j) for ``known`` n_j queries: the more there are, the more they count."""
    return np.asarray(strength / (strength + known), np.float32)


def nudge_scores(dense: Array, mean: Array, agreement: Array, reach: float) -> Array:
    """<q, e_j> (n,) where p_j is turned towards n_j on the sphere, by a chord of at most ``reach``.

    NUDGE-N (Zeighami et al. 2024, "NUDGE: Lightweight Non-Parametric Fine-Tuning of Embeddings for
    Retrieval"). Arguments as of ``adapted_scores``.
    """
    agreement = np.clip(agreement, -1, 1)
    between = np.arccos(agreement)
    turn = np.minimum(between, 2 * np.arcsin(np.minimum(reach / 2, 1)))
    # The tangent at p_j that points to n_j.
    across = (mean - agreement * dense) / np.maximum(np.sin(between), 1e-6)
    return np.asarray(np.cos(turn) * dense + np.sin(turn) * across, np.float32)


def mix(dense: Array, neighbours: Array, dense_weight: float | Array) -> Array:
    """XL's score as published, ``lambda dense + (1 - lambda) neighbours``, (n,)."""
    return np.asarray(dense_weight * dense + (1 - dense_weight) * neighbours, np.float32)
