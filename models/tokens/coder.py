"""Token states to 1-bit codes, and query states to what meets them.

A passage's states are taken off what all states share (their mean), projected to fewer dimensions, left
without the tokens that most passages have, clustered, and rounded to signs (BTR, Cao et al. 2024, section
3.1, rounds without any of that). One bit a dimension is enough because a score is a sum over many of them.

A query's states are treated alike and stay floats. Its tokens count by their inverse document
frequency: what stands in few passages tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lurcher.models.errors import FieldError, ModelError
from lurcher.models.tokens.clustering import Integers, ward
from lurcher.models.tokens.products import Vectors, product
from lurcher.models.tokens.projection import Projection, principal, read_arrays

Codes = npt.NDArray[np.uint8]

# Tokens of more than this share of the passages are left out of the store.
COMMON = 0.5


@dataclass(frozen=True, slots=True)
class Coded:
    """A passage's codes, in the order of their tokens."""

    codes: Codes  # (n, bits/8)
    positions: Integers  # (n,) where the token nearest to each, by inner product, stands
    tokens: int  # that the passage has


@dataclass(frozen=True, slots=True)
class TokenCoder:
    """How one encoder's token states become codes; made of a sample of the corpus by ``fit``."""

    mean: Vectors  # (d,)
    projection: Projection
    frequency: Vectors  # (vocabulary,) share of the passages that hold the token

    @property
    def space(self) -> str:
        """Which codes these are, by their projection."""
        return self.projection.space

    @property
    def bits(self) -> int:
        """Bits a code; a multiple of 8."""
        return self.projection.bits

    def code(self, states: Vectors, ids: Sequence[int], share: float) -> Coded:
        """The codes of a passage's states (L, d), whose tokens are ``ids``.

        At most ``share`` of the tokens, rounded up, and none of the common ones unless all are. No
        states, no codes.
        """
        if not len(states):
            return Coded(np.zeros((0, self.bits // 8), np.uint8), np.zeros(0, np.int64), 0)
        telling, _, points, cluster = self._clusters(states, ids, share)
        centres = _means(points, cluster)
        nearness = np.einsum("nb,nb->n", points, centres[cluster])
        order = np.lexsort((-nearness, cluster))
        nearest = order[np.searchsorted(cluster[order], np.arange(len(centres)))]
        places = np.argsort(nearest)
        codes = np.packbits(centres[places] > 0, axis=1)
        return Coded(codes, telling[nearest[places]], len(states))

    def merged(self, states: Vectors, ids: Sequence[int], share: float) -> Vectors:
        """What ``code`` projects and rounds: the mean of each cluster, off the mean of all, (n, d)."""
        if not len(states):
            return np.zeros((0, len(self.mean)), np.float32)
        _, centred, _, cluster = self._clusters(states, ids, share)
        return _means(centred, cluster)

    def _clusters(
        self, states: Vectors, ids: Sequence[int], share: float
    ) -> tuple[Integers, Vectors, Vectors, Integers]:
        """Which tokens count (n,), their states off the mean (n, d), projected (n, bits), and clusters."""
        telling = self.telling(ids)
        centred = self._centred(states[telling])
        points = product(centred, self.projection.passages)
        count = max(1, int(np.ceil(share * len(states))))
        return telling, centred, points, ward(points, count)

    def telling(self, ids: Sequence[int] | Integers) -> Integers:
        """Which of the tokens ``ids`` are not common, (n,) in order; all of them where none is."""
        found = np.flatnonzero(self.frequency[np.asarray(ids, np.int64)] <= COMMON)
        return found if len(found) else np.arange(len(ids))

    def queries(self, states: Vectors, ids: Sequence[int]) -> tuple[Vectors, Vectors]:
        """What a query's states (L, d) are among codes, (L, bits) unit-norm, and their weights (L,)."""
        return unit(product(self._centred(states), self.projection.queries)), self.weights(ids)

    def weights(self, ids: Sequence[int]) -> Vectors:
        """What the tokens of a query count, (L,), which adds up to 1.

        Inverse document frequencies, or all the same where no token tells anything.
        """
        telling: Vectors = -np.log(self.frequency[np.asarray(ids, np.int64)], dtype=np.float32)
        weights = telling if telling.any() else np.ones_like(telling)
        found: Vectors = weights / np.maximum(weights.sum(), np.float32(1e-9))
        return found

    def _centred(self, states: Vectors) -> Vectors:
        return unit(states) - self.mean

    def save(self, file: Path) -> None:
        """Write it to ``file``."""
        with file.open("wb") as out:  # NumPy would add a suffix to a name
            np.savez(
                out, mean=self.mean, frequency=self.frequency,
                passages=self.projection.passages, queries=self.projection.queries,
            )  # fmt: skip

    @classmethod
    def load(cls, file: Path) -> TokenCoder:
        """The coder in ``file``. Raises ModelError."""
        try:
            projection = Projection.of(file)
            parts = read_arrays(file, ("mean", "frequency"))
        except ModelError as error:
            raise ModelError(f"{file}: not a token coder: {error}") from error
        mean, frequency = parts["mean"], parts["frequency"]
        sound = (
            mean.shape == (projection.dimension,)
            and frequency.ndim == 1
            and len(frequency) > 0
            and bool(((frequency > 0) & (frequency <= 1)).all())
        )
        if not sound:
            raise ModelError(f"{file}: not a token coder: its arrays do not fit together")
        return cls(mean, projection, frequency)


def check_bits(bits: int, dimension: int) -> None:
    """Raises FieldError for bits a code that cannot be had of states (L, dimension)."""
    if bits % 8 or not 8 <= bits <= dimension:
        reason = f"must be a multiple of 8 from 8 to {dimension}, the encoder's, not {bits}"
        raise FieldError("token_bits", reason)


def fit(
    states: Iterable[Vectors], dimension: int, frequency: Vectors, bits: int, seed: int,
    projection: Projection | None = None,
) -> TokenCoder:  # fmt: skip
    """A coder for states like those of passages ``states``, (L, dimension) each, to ``bits`` bits a code.

    ``projection`` is one that was trained, None: principal components. ``frequency`` (vocabulary,) is the
    share of the passages that hold each token, above 0. ``states`` are gone through once, and none is
    kept. Raises FieldError for bits that cannot be had.
    """
    check_bits(bits, dimension)
    count, total, products = 0, np.zeros(dimension), np.zeros((dimension, dimension))
    for found in states:
        units = unit(found).astype(np.float64)
        count += len(units)
        total += units.sum(axis=0)
        products += units.T @ units
    mean = total / max(1, count)
    covariance = products / max(1, count) - np.outer(mean, mean)
    return TokenCoder(
        mean.astype(np.float32), projection or principal(covariance, bits, seed), frequency
    )


def document_frequency(texts: Iterable[Sequence[int]], vocabulary: int) -> Vectors:
    """The share (vocabulary,) of ``texts`` that hold each token; as if one more text held them all."""
    counts, total = np.ones(vocabulary, np.int64), 1
    for ids in texts:
        counts[np.unique(np.asarray(ids, np.int64))] += 1
        total += 1
    return (counts / total).astype(np.float32)


def _means(points: Vectors, cluster: Integers) -> Vectors:
    """The mean of each cluster of ``points`` (n, d)."""
    sums = np.zeros((int(cluster.max()) + 1, points.shape[1]), np.float32)
    np.add.at(sums, cluster, points)
    sums /= np.bincount(cluster)[:, None]
    return sums


def unit(vectors: Vectors) -> Vectors:
    """Each row of (n, d) divided by its norm; one of zeros stays."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    units: Vectors = vectors / np.maximum(norms, np.finfo(np.float32).tiny)
    return units
