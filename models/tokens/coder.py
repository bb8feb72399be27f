"""Token states to 1-bit codes, and query states to the vectors that are compared with them.

A passage's states are centred (their mean over the corpus is subtracted) and projected to fewer dimensions.
Tokens that most passages contain are left out; the others are clustered, and each cluster's mean is rounded
to signs (BTR, Cao et al. 2024, section 3.1, rounds without any of that). One bit a dimension is enough
because a score is a sum over many of them.

A query's states are centred and projected likewise and stay floats. Its tokens are weighted by inverse
document frequency.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lurcher.errors import FieldError, ModelError
from lurcher.models.tokens.clustering import Integers, ward
from lurcher.models.tokens.products import Vectors, product
from lurcher.models.tokens.projection import Projection, principal, read_arrays

Codes = npt.NDArray[np.uint8]

# Tokens that more than this share of the passages contain are left out of the stores.
MAX_DF = 0.5


@dataclass(frozen=True, slots=True)
class Coded:
    """A passage's codes, in the order of their tokens."""

    codes: Codes  # (n, bits/8)
    positions: Integers  # (n,) of the token nearest to each code by inner product
    tokens: int  # how many the passage has


@dataclass(frozen=True, slots=True)
class TokenCoder:
    """How one encoder's token states become codes; ``fit`` makes it from a sample of the corpus."""

    mean: Vectors  # (d,)
    projection: Projection
    frequency: Vectors  # (vocabulary,) share of the passages that contain the token

    @property
    def projection_hash(self) -> str:
        """``sha256:...`` of the projection: codes of two coders are comparable if it is the same."""
        return self.projection.projection_hash

    @property
    def bits(self) -> int:
        """Bits a code; a multiple of 8."""
        return int(self.projection.passages.shape[1])

    def code_batch(
        self, states: Sequence[Vectors], ids: Sequence[Sequence[int]], keep_ratio: float
    ) -> list[Coded]:
        """``code`` of several passages."""
        return [self.code(found, own, keep_ratio) for found, own in zip(states, ids, strict=True)]

    def code(self, states: Vectors, ids: Sequence[int], keep_ratio: float) -> Coded:
        """The codes of a passage's states (L, d), whose tokens are ``ids``.

        At most ``keep_ratio`` of the tokens, rounded up, and informative ones only if there are any. No
        states, no codes.
        """
        if not len(states):
            return Coded(np.zeros((0, self.bits // 8), np.uint8), np.zeros(0, np.int64), 0)
        positions, _, projected, cluster = self._clusters(states, ids, keep_ratio)
        centres = _means(projected, cluster)
        nearness = np.einsum("nb,nb->n", projected, centres[cluster])
        order = np.lexsort((-nearness, cluster))
        nearest = order[np.searchsorted(cluster[order], np.arange(len(centres)))]
        by_position = np.argsort(nearest)
        codes = np.packbits(centres[by_position] > 0, axis=1)
        return Coded(codes, positions[nearest[by_position]], len(states))

    def merged(self, states: Vectors, ids: Sequence[int], keep_ratio: float) -> Vectors:
        """What ``code`` projects and rounds: the centred mean of each cluster, (n, d)."""
        if not len(states):
            return np.zeros((0, len(self.mean)), np.float32)
        _, centred, _, cluster = self._clusters(states, ids, keep_ratio)
        return _means(centred, cluster)

    def _clusters(
        self, states: Vectors, ids: Sequence[int], keep_ratio: float
    ) -> tuple[Integers, Vectors, Vectors, Integers]:
        """Informative tokens (n,), their states centred (n, d) and projected (n, bits), and clusters (n,)."""
        positions = self.informative(ids)
        centred = self._centred(states[positions])
        projected = product(centred, self.projection.passages)
        count = max(1, int(np.ceil(keep_ratio * len(states))))
        return positions, centred, projected, ward(projected, count)

    def informative(self, ids: Sequence[int] | Integers) -> Integers:
        """The positions (n,) of those of the tokens ``ids`` that at most MAX_DF of the passages contain.

        All positions if there is none.
        """
        found = np.flatnonzero(self.frequency[np.asarray(ids, np.int64)] <= MAX_DF)
        return found if len(found) else np.arange(len(ids))

    def informative_batch(self, ids: Sequence[Integers]) -> list[Integers]:
        """``informative`` of several passages."""
        return [self.informative(own) for own in ids]

    def queries(self, states: Vectors, ids: Sequence[int]) -> tuple[Vectors, Vectors]:
        """A query's states (L, d) projected, (L, bits) unit-norm, and the weights of its tokens (L,)."""
        return unit(product(self._centred(states), self.projection.queries)), self.weights(ids)

    def weights(self, ids: Sequence[int]) -> Vectors:
        """The weights (L,) of a query's tokens, which add up to 1.

        They are inverse document frequencies, or all equal if every passage contains every token.
        """
        idf: Vectors = -np.log(self.frequency[np.asarray(ids, np.int64)], dtype=np.float32)
        weights = idf if idf.any() else np.ones_like(idf)
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
            projection = Projection.load(file)
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
    """Raise FieldError unless states (L, dimension) can become codes of ``bits``."""
    if bits % 8 or not 8 <= bits <= dimension:
        reason = f"must be a multiple of 8 from 8 to {dimension}, the encoder's, not {bits}"
        raise FieldError("token_bits", reason)


def fit(
    states: Iterable[Vectors], dimension: int, frequency: Vectors, bits: int, seed: int,
    projection: Projection | None = None,
) -> TokenCoder:  # fmt: skip
    """A coder to ``bits`` bits a code, fitted to passages' ``states``, (L, dimension) each.

    ``projection`` is a trained one, None: principal components. ``frequency`` (vocabulary,) is the document
    frequency of each token, above 0. ``states`` are iterated once, and none is kept. Raises FieldError for
    bits that cannot be had.
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
    """The share (vocabulary,) of ``texts`` that contain each token, counting one more that contains all."""
    counts, total = np.ones(vocabulary, np.int64), 1
    for ids in texts:
        counts[np.unique(np.asarray(ids, np.int64))] += 1
        total += 1
    return (counts / total).astype(np.float32)


def _means(vectors: Vectors, cluster: Integers) -> Vectors:
    """The mean of each cluster of ``vectors`` (n, d)."""
    sums = np.zeros((int(cluster.max()) + 1, vectors.shape[1]), np.float32)
    np.add.at(sums, cluster, vectors)
    sums /= np.bincount(cluster)[:, None]
    return sums


def unit(vectors: Vectors) -> Vectors:
    """Each row of (n, d) divided by its norm; one of zeros stays."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    units: Vectors = vectors / np.maximum(norms, np.finfo(np.float32).tiny)
    return units
