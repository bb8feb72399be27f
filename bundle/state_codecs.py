"""How a ranker's states of passages are packed: as float16, or as one bit a dimension.

A state of bits is what BTR (Cao et al. 2024, section 3.1) stores, the sign of each dimension. Theirs are
trained for it; these are taken off the dimension's mean and unpacked to mean + scale * sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from lurcher.bundle.vectors import Vectors
from lurcher.errors import BundleCorrupt, ModelError
from lurcher.models.tokens.projection import read_arrays

SIGNS = "states/signs.npz"

Form = Literal["float16", "1-bit"]
Packed = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Halves:
    """Two bytes a dimension; a codec keeps a state as ``columns`` numbers of type ``kind``."""

    columns: int
    form: ClassVar[Form] = "float16"
    kind: ClassVar[np.dtype[Any]] = np.dtype(np.float16)

    def pack(self, states: Vectors) -> Packed:
        """States (L, d), each number rounded. Raises ModelError for one beyond float16."""
        with np.errstate(over="ignore"):
            packed = states.astype(np.float16)
        if not np.isfinite(packed).all():
            raise ModelError("the ranker's states go beyond float16; store them as '1-bit'")
        return packed

    def unpack(self, packed: Packed) -> Vectors:
        """States (L, d) float32."""
        return packed.astype(np.float32)


@dataclass(frozen=True, slots=True)
class Signs:
    """One bit a dimension: on which side of the mean."""

    mean: Vectors  # (d,)
    scale: Vectors  # (d,)
    form: ClassVar[Form] = "1-bit"
    kind: ClassVar[np.dtype[Any]] = np.dtype(np.uint8)

    @classmethod
    def fit(cls, states: Vectors) -> Signs:
        """For states like those of (n, d): the scale that leaves the least squared error."""
        mean = states.mean(axis=0, dtype=np.float64)
        # The s that minimises the sum of (x - s sign(x))^2 is the mean of |x|.
        scale = np.abs(states - mean).mean(axis=0)
        return cls(mean.astype(np.float32), scale.astype(np.float32))

    @property
    def columns(self) -> int:
        """Bytes a state."""
        return -(-len(self.mean) // 8)

    def pack(self, states: Vectors) -> Packed:
        """States (L, d) as (L, columns): bit 1 where a dimension is above its mean."""
        return np.packbits(states > self.mean, axis=1)

    def unpack(self, packed: Packed) -> Vectors:
        """States (L, d) float32: mean + scale where a bit is 1, mean - scale where it is 0."""
        signs = np.unpackbits(packed, axis=1, count=len(self.mean)).astype(np.float32)
        signs *= 2 * self.scale
        signs += self.mean - self.scale
        return signs

    def save(self, file: Path) -> None:
        """Write them to ``file``."""
        with file.open("wb") as out:  # NumPy would add a suffix to a name
            np.savez(out, mean=self.mean, scale=self.scale)

    @classmethod
    def load(cls, file: Path) -> Signs:
        """Those in ``file``. Raises ModelError."""
        try:
            mean, scale = read_arrays(file, ("mean", "scale")).values()
        except ModelError as error:
            raise ModelError(f"{file}: not means and scales: {error}") from error
        if mean.ndim != 1 or mean.shape != scale.shape:
            raise ModelError(f"{file}: not means and scales: its arrays do not fit together")
        return cls(mean, scale)


Codec = Halves | Signs


def load_codec(bundle: Path, form: Form, dimension: int) -> Codec:
    """How ``bundle`` keeps states of so many dimensions. Raises BundleCorrupt."""
    if form == "float16":
        return Halves(dimension)
    try:
        signs = Signs.load(bundle / SIGNS)
    except ModelError as error:
        raise BundleCorrupt(bundle, SIGNS, str(error)) from error
    if len(signs.mean) != dimension:
        raise BundleCorrupt(bundle, SIGNS, f"{len(signs.mean)} dimensions, expected {dimension}")
    return signs
