"""Voting mode (PEFA-XL): the known queries nearest to a query vote for the passages they are labelled with.

As published (Chang et al. 2024, section 3.3), PEFA-XL mixes two scores, over the k known queries q_i nearest
to q::

    f_j = lambda <q, p_j> + (1 - lambda) c sum_i <q, q_i> y_ij        c = 1/k or 1

Two things are wrong with the second term. Every neighbour votes with nearly the same force, near or far;
and it votes with all of <q, q_i>, of which most says only that both are questions. Departures:

- neighbours are weighed by a softmax of their similarity over a temperature t;
- a neighbour votes with what the passage's own score did not say: by how much q is nearer to q_i than q_i
  itself is to p_j, beyond a margin m::

    f_j = lambda <q, p_j> + (1 - lambda) sum_i softmax_i(<q, q_i> / t) max(0, <q, q_i> - <q_i, p_j> - m) y_ij

With the margin, a query about something nobody asked before finds neighbours that are no nearer than a
passage would be, and they do not vote.

Votes are kept flat: one entry for each label of each neighbour of each query of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lurcher.models.neighbours.adapted import Array

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Votes:
    """What was found among the known queries, flat: ``neighbour`` is b * k + i, of query b's i-th."""

    similarities: Array  # (B, k) <q, q_i>, -inf where there are fewer
    numbers: Integers  # (B, k) which known query it is
    neighbour: Integers  # (n,)
    row: Integers  # (n,) the passage
    known_score: Array  # (n,) <q_i, p_j>
    label: Array  # (n,) y_ij

    @property
    def query(self) -> Integers:
        """Whose votes they are, (n,)."""
        return np.asarray(self.neighbour // max(1, self.similarities.shape[1]))

    def nearest(self, k: int) -> Votes:
        """The same entries where only the ``k`` nearest vote: the others' similarity is -inf."""
        similarities = self.similarities.copy()
        similarities[:, k:] = -np.inf
        return replace(self, similarities=similarities)


def softmax(similarities: Array, temperature: float) -> Array:
    """Weights (B, k) that sum to 1; 0 where a similarity is -inf."""
    finite = np.where(np.isfinite(similarities), similarities, -1e9)
    weights = np.exp((finite - finite.max(axis=1, keepdims=True, initial=-1e9)) / temperature)
    weights *= np.isfinite(similarities)
    return np.asarray(weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-12), np.float32)


def margin_votes(votes: Votes, temperature: float, margin: float) -> Array:
    """What each entry of ``votes`` adds to its passage's neighbour score, (n,)."""
    excess = votes.similarities.ravel()[votes.neighbour] - votes.known_score - margin
    weights = softmax(votes.similarities, temperature).ravel()[votes.neighbour]
    return np.asarray(weights * np.maximum(excess, 0) * votes.label, np.float32)


def mix(dense: Array, neighbours: Array, dense_weight: float | Array) -> Array:
    """``lambda dense + (1 - lambda) neighbours``, (n,)."""
    return np.asarray(dense_weight * dense + (1 - dense_weight) * neighbours, np.float32)
