"""The projection of token states to as many dimensions as a code has bits.

There is one matrix for passages and one for queries. They are made of principal components, or trained
(training/tokens) and shipped with the encoder. What was trained on codes, such as a decoder, reads codes of
the same projection only, which ``projection_hash`` tells apart.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED

import numpy as np
import numpy.typing as npt

from lurcher.errors import ModelError
from lurcher.models.tokens.products import Vectors

PROJECTION_FILE = "projection.npz"


@dataclass(frozen=True, slots=True)
class Projection:
    """Both matrices, (d, bits) float32."""

    passages: Vectors
    queries: Vectors

    @property
    def dimension(self) -> int:
        """The length d of a token state."""
        return int(self.passages.shape[0])

    @property
    def bits(self) -> int:
        """Bits a code; a multiple of 8."""
        return int(self.passages.shape[1])

    @property
    def is_principal(self) -> bool:
        """Whether it has one matrix for both sides, as principal components have and no training gives."""
        return np.array_equal(self.passages, self.queries)

    @property
    def projection_hash(self) -> str:
        """``sha256:...`` of both matrices."""
        digest = hashlib.sha256()
        for part in (self.passages, self.queries):
            digest.update(np.ascontiguousarray(part, "<f4").tobytes())
        return f"sha256:{digest.hexdigest()}"

    def save(self, file: Path) -> None:
        """Write it to ``file``."""
        with file.open("wb") as out:  # NumPy would add a suffix to a name
            np.savez(out, passages=self.passages, queries=self.queries)

    @classmethod
    def load(cls, file: Path) -> Projection:
        """The projection among the arrays in ``file``. Raises ModelError."""
        parts = read_arrays(file, ("passages", "queries"))
        passages, queries = parts["passages"], parts["queries"]
        if (
            passages.ndim != 2
            or passages.shape != queries.shape
            or not passages.size
            or passages.shape[1] % 8
        ):
            raise ModelError(f"{file}: not projections to whole bytes of bits, of one shape")
        return cls(passages, queries)


def principal(covariance: npt.NDArray[np.float64], bits: int, seed: int) -> Projection:
    """The projection to the ``bits`` first principal components of states with that ``covariance`` (d, d).

    They are rotated at random: each dimension then carries about the same variance, so that all bits count.
    """
    components = np.linalg.eigh(covariance)[1][:, ::-1][:, :bits]
    noise = np.random.default_rng(seed).standard_normal((bits, bits))
    both = (components @ np.linalg.qr(noise)[0]).astype(np.float32)
    return Projection(both, both)


def read_arrays(
    file: Path, names: tuple[str, ...], kind: npt.DTypeLike = np.float32
) -> dict[str, npt.NDArray[Any]]:
    """The arrays ``names`` of an .npz file, all of that ``kind`` and finite. Raises ModelError."""
    try:
        # NumPy leaves a file of its own open where it is no archive.
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as found:
            # Ours are not compressed; a compressed one could take far more memory than its size.
            if any(part.compress_type != ZIP_STORED for part in found.zip.infolist()):
                raise ValueError("compressed")
            parts = {name: found[name] for name in names}
    except Exception as error:  # NumPy and zipfile have a dozen for what may be wrong here
        raise ModelError(f"{file}: cannot be read: {error}") from error
    for name, part in parts.items():
        if part.dtype != kind or not np.isfinite(part).all():
            raise ModelError(f"{file}: {name} is not all finite {np.dtype(kind)} numbers")
    return parts
