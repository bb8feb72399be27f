"""Voting mode (PEFA-XL): the known queries nearest to a query vote for the passages they are labelled with.

As published (Chang et al. 2024, section 3.3), PEFA-XL mixes two scores, over the k known queries q_i nearest
to q::

    f_j = lambda <q, p_j> + (1 - lambda) c sum_i <q, q_i> y_ij        c = 1/k or 1

Three things are wrong with that. Every neighbour votes with nearly the same force, near or far; it votes
with all of <q, q_i>, of which most says only that both are questions; and lambda makes every score smaller,
also of passages that no neighbour votes for. Departures:

- a neighbour counts as far as it is near (``nearness``, 0 to 1), and neighbours are weighed against each
  other by a softmax of their similarity over a temperature t, in which those that are not near have no part::

      w_i = near_i * near_i exp(<q, q_i> / t) / sum_h near_h exp(<q, q_h> / t)

- a neighbour votes with what the passage's own score did not say: by how much q is nearer to q_i than q_i
  itself is to p_j, beyond a margin m::

      v_j = sum_i w_i max(0, <q, q_i> - <q_i, p_j> - m) y_ij

- votes are added to the passage's own score, which keeps its scale; the order is that of
  ``lambda <q, p_j> + (1 - lambda) v_j``, divided by lambda::

      f_j = raised(<q, p_j>, (1 - lambda) / lambda v_j)

With the margin, a query about something nobody asked before finds neighbours that are no nearer than a
passage would be, and they do not vote. Known queries that are not near take no weight from those that are.

A sum may leave the scale of cosines, so what is above .8 is bent to stay below 1, in the same order::

    raised(s, b) = max(s, x)                                   x = s + b up to c = .8
    raised(s, b) = max(s, c + (1 - c) y / (1 + y))             y = (x - c) / (1 - c) above

A ranker's scores may go beyond 1 by themselves (a decoder's run from .9 to 1.9). There is no scale to stay
on, and no bend: ``raised(s, b, bent=False) = s + b``, or known queries would do nothing there.

Votes are kept flat: one entry for each label of each neighbour of each query of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lurcher.models.neighbours.nearness import Array, nearness

Integers = npt.NDArray[np.int64]

_LEAST_WEIGHT = 0.01
_BENT = np.float32(0.8)


@dataclass(frozen=True, slots=True)
class Votes:
    """What was found among the known queries, flat: ``neighbour`` is b * k + i, of query b's i-th."""

    similarities: Array  # (B, k) <q, q_i>, -inf where there are fewer
    numbers: Integers  # (B, k) which known query it is
    neighbour: Integers  # (n,)
    row: Integers  # (n,) the passage
    known_score: Array  # (n,) <q_i, p_j>
    label: Array  # (n,) y_ij
    own: Array | None = None  # (B, k) own similarities, where a common direction is known

    @property
    def query(self) -> Integers:
        """Whose votes they are, (n,)."""
        return np.asarray(self.neighbour // max(1, self.similarities.shape[1]))

    def nearest(self, k: int) -> Votes:
        """The same entries where only the ``k`` nearest vote: the others' similarity is -inf."""
        similarities = self.similarities.copy()
        similarities[:, k:] = -np.inf
        return replace(self, similarities=similarities)


def weights(similarities: Array, temperature: float, own: Array | None = None) -> Array:
    """The weights w_i (B, k) of neighbours by their ``similarities`` (B, k); 0 where one is -inf.

    Which are near is told by their ``own`` similarities (B, k), if there are any.
    """
    near = nearness(similarities if own is None else own)
    finite = np.where(near > 0, similarities, np.float32(-1))
    force = near * np.exp((finite - finite.max(axis=1, keepdims=True, initial=-1)) / temperature)
    total = force.sum(axis=1, keepdims=True)
    return np.asarray(near * force / np.where(total > 0, total, 1), np.float32)


def margin_votes(votes: Votes, temperature: float, margin: float) -> Array:
    """What each entry of ``votes`` adds to its passage's neighbour score, (n,)."""
    excess = votes.similarities.ravel()[votes.neighbour] - votes.known_score - margin
    weight = weights(votes.similarities, temperature, votes.own).ravel()[votes.neighbour]
    return np.asarray(weight * np.maximum(excess, 0) * votes.label, np.float32)


def boost(neighbours: Array, dense_weight: float) -> Array:
    """What votes ``neighbours`` (n,) are worth beside a score, by the weight lambda of the passage's own.

    A lambda below ``_LEAST_WEIGHT`` counts as that: votes then decide, and the passages' own scores where
    votes are equal.
    """
    return neighbours * np.float32((1 - dense_weight) / max(dense_weight, _LEAST_WEIGHT))


def raised(scores: Array, boosts: Array, bent: bool = True) -> Array:
    """``scores`` (n,) raised by ``boosts`` (n,), at least 0; ``bent`` keeps cosines on their scale."""
    together = np.asarray(scores + boosts, np.float32)
    if not bent:
        return together
    above = np.maximum(together - _BENT, 0) / (1 - _BENT)
    lowered = np.where(above > 0, _BENT + (1 - _BENT) * above / (1 + above), together)
    return np.maximum(scores, lowered)
