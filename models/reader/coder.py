"""Token states to 1-bit codes that a reader can decode, and back.

A state x, of unit norm and centred, is stored as the signs of its projected residual, which is what sets it
apart from other occurrences of its token t::

    code = sign(R^T (x - centre[t]))          R: (d, bits), orthonormal columns
    x  ~  centre[t] + scale R code            scale = mean |R^T (x - centre[t])|

The token itself costs nothing: whoever reads a passage has its text. For the fourth of MiniLM's six layers,
128 such bits leave 16 % of the states' variance unexplained if the coder is fitted to 3,700 passages of
squad-open, and 21 % if to 1,024. BTR (Cao et al. 2024, section 3.1) stores the signs of the states
themselves. R holds the principal components of the residuals, rotated at random so that all bits count; the
scale is the one of least squared error.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lurcher.errors import FieldError, ModelError
from lurcher.models.tokens.clustering import Integers, Vectors
from lurcher.models.tokens.coder import Codes, unit
from lurcher.models.tokens.products import product
from lurcher.models.tokens.projection import principal, read_arrays

# Shrinkage: the centre of a token that was seen n times lies n / (n + 2) of the way to its mean.
_PRIOR_COUNT = 2.0
# The scale is fitted to so many states, the first that come.
_SCALE_SAMPLE = 16_384
# Bounds the memory that the table of a file from elsewhere may take.
_MAX_VOCABULARY = 1 << 21


@dataclass(frozen=True, slots=True)
class ReadingCoder:
    """How one encoder's token states become codes, and codes states again; ``fit`` makes it."""

    mean: Vectors  # (d,) of unit-norm states
    centres: npt.NDArray[np.float16]  # (V, d) by token id, zeros for tokens that were not seen
    rotation: Vectors  # (d, bits)
    scale: float

    @property
    def bits(self) -> int:
        """Bits a code; a multiple of 8."""
        return int(self.rotation.shape[1])

    def code_batch(self, states: Sequence[Vectors], ids: Sequence[Integers]) -> list[Codes]:
        """``code`` of several passages."""
        return [self.code(found, own) for found, own in zip(states, ids, strict=True)]

    def code(self, states: Vectors, ids: Integers) -> Codes:
        """The codes (n, bits/8) of states (n, d), whose tokens are ``ids`` (n,)."""
        residuals = self.centred(states) - self.centres[ids]
        return np.packbits(product(residuals, self.rotation) > 0, axis=1)

    def decode(self, codes: Codes, ids: Integers) -> Vectors:
        """The centred states (n, d) float32 that codes (n, bits/8) of tokens ``ids`` (n,) stand for."""
        # With bits b of 0 and 1 instead of signs: R (2 b - 1) = 2 R b - R 1.
        ones = np.unpackbits(codes, axis=1).astype(np.float32)
        scaled = np.float32(self.scale) * self.rotation.T
        # One product: in slices, as ``product`` has it, it took three times as long.
        found: Vectors = ones @ (2 * scaled)
        found -= scaled.sum(axis=0)
        found += self.centres[ids]
        return found

    def query(self, states: Vectors) -> Vectors:
        """A query's states (L, d) to be compared with decoded ones: centred, (L, d) unit-norm."""
        found = self.centred(states)
        return unit(found)

    def centred(self, states: Vectors) -> Vectors:
        """States (n, d), each divided by its norm, less the mean."""
        return unit(states) - self.mean

    def save(self, file: Path) -> None:
        """Write it to ``file``."""
        seen = np.flatnonzero(self.centres.any(axis=1))
        with file.open("wb") as out:  # NumPy would add a suffix to a name
            np.savez(
                out, mean=self.mean, rotation=self.rotation, scale=np.float32(self.scale),
                seen=seen.astype(np.int32), centres=self.centres[seen],
                vocabulary=np.int32(len(self.centres)),
            )  # fmt: skip

    @classmethod
    def load(cls, file: Path) -> ReadingCoder:
        """The coder in ``file``. Raises ModelError."""
        parts = read_arrays(file, ("mean", "rotation", "scale"))
        lists = read_arrays(file, ("seen", "vocabulary"), np.int32)
        halves = read_arrays(file, ("centres",), np.float16)["centres"]
        mean, rotation, scale = parts["mean"], parts["rotation"], parts["scale"]
        seen, vocabulary = lists["seen"], lists["vocabulary"]
        sound = (
            mean.ndim == 1
            and rotation.ndim == 2
            and len(rotation) == len(mean)
            and rotation.shape[1] > 0
            and rotation.shape[1] % 8 == 0
            and scale.ndim == vocabulary.ndim == 0
            and scale > 0
            and seen.ndim == 1
            and halves.shape == (len(seen), len(mean))
            and 0 < vocabulary <= _MAX_VOCABULARY
            and bool(((seen >= 0) & (seen < vocabulary)).all())
        )
        if not sound:
            raise ModelError(f"{file}: not a reader's coder: its arrays do not fit together")
        centres = np.zeros((int(vocabulary), len(mean)), np.float16)
        centres[seen] = halves
        return cls(mean, centres, rotation, float(scale))


def fit(
    sample: Iterable[tuple[Vectors, Integers]],
    dimension: int,
    vocabulary: int,
    bits: int,
    seed: int,
    scale_sample: int = _SCALE_SAMPLE,
) -> ReadingCoder:
    """A coder to ``bits`` bits a code, fitted to ``sample``: passages' states (n, d) and tokens (n,).

    The scale is fitted to the first ``scale_sample`` states. ``sample`` is iterated once. Raises
    FieldError for bits that cannot be had.
    """
    if bits % 8 or not 8 <= bits <= dimension:
        reason = f"must be a multiple of 8 from 8 to {dimension}, the encoder's, not {bits}"
        raise FieldError("answer_bits", reason)
    counts, sums = np.zeros(vocabulary, np.int64), np.zeros((vocabulary, dimension), np.float32)
    products = np.zeros((dimension, dimension))  # the sum of u u^T over states u of unit norm
    first, first_ids, room = [], [], scale_sample
    for states, ids in sample:
        units = unit(states)
        np.add.at(sums, ids, units)
        counts += np.bincount(ids, minlength=vocabulary)
        products += units.T @ units
        first.append(units[:room])
        first_ids.append(ids[:room])
        room -= len(first[-1])
    total = max(1, counts.sum())
    seen = np.flatnonzero(counts)
    mean = sums[seen].sum(axis=0, dtype=np.float64) / total
    number = counts[seen][:, None]
    off = sums[seen] - number * mean  # sums of x = u - mean, by token
    centres = np.zeros((vocabulary, dimension), np.float16)
    centres[seen] = off / (number + _PRIOR_COUNT)
    # The sum of (x - c)(x - c)^T, of what was summed up.
    own = centres[seen].astype(np.float64)
    crossed = off.T @ own
    covariance = products - total * np.outer(mean, mean) - crossed - crossed.T
    covariance += own.T @ (number * own)
    rotation = principal(covariance, bits, seed).passages
    mean = mean.astype(np.float32)
    scale = 1.0
    if len(seen):
        residuals = np.concatenate(first) - mean - centres[np.concatenate(first_ids)]
        scale = float(np.abs(residuals @ rotation).mean())
    return ReadingCoder(mean, centres, rotation, scale)
