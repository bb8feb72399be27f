"""The state store: what a ranker's encoder made of every passage, memory-mapped.

::

    segments/000000/
      states.bin    states of d float16 or d bits, passage after passage, in their tokens' order
      states.idx    of each passage, how many states it has, and 1 where it was too long and cut
    states/
      signs.npz     mean and scale of each dimension, where states are bits

Numbers are unsigned integers of as few bytes as the ranker's longest passage needs. Nothing but
``states.idx`` is read when a store is opened.

A state of bits is what BTR (Cao et al. 2024, section 3.1) stores, the sign of each dimension. Theirs are
trained for it; these are taken off the dimension's mean and unpacked to mean + scale * sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from lurcher.bundle.passages import Rows
from lurcher.bundle.ragged import count_type, gather, mapped, read_index, starts_of, whole
from lurcher.bundle.vectors import Vectors
from lurcher.models.encoders.student import SHA256
from lurcher.models.errors import BundleCorrupt, ModelError
from lurcher.models.ranker.seq2seq import RankerConfig

SIGNS = "states/signs.npz"
_STATES, _COUNTS = "states.bin", "states.idx"

Form = Literal["float16", "1-bit"]
Packed = npt.NDArray[Any]


class StateSettings(BaseModel):
    """What the manifest says of the state store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    form: Form
    ranker: str = Field(pattern=SHA256, description="fingerprint of what made the states")
    states: int = Field(ge=0)
    truncated: int = Field(ge=0, description="passages longer than the ranker reads")
    bytes: int = Field(ge=0, description="states and their numbers together")


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
            with np.load(file, allow_pickle=False) as found:
                mean, scale = found["mean"], found["scale"]
        except Exception as error:  # NumPy and zipfile have a dozen for what may be wrong here
            raise ModelError(f"{file}: not means and scales: {error}") from error
        if mean.ndim != 1 or mean.shape != scale.shape or {mean.dtype, scale.dtype} != {_FLOAT32}:
            raise ModelError(f"{file}: not means and scales: its arrays do not fit together")
        return cls(mean, scale)


_FLOAT32 = np.dtype(np.float32)

Codec = Halves | Signs


class StateWriter:
    """Appends the states of passages to a segment, going on after those that are whole."""

    def __init__(self, segment: Path, codec: Codec, max_tokens: int) -> None:
        """Open or make the files; what a writer that was killed left unfinished is cut off."""
        self._kind = count_type(max_tokens)
        width = codec.columns * codec.kind.itemsize
        files = [segment / name for name in (_STATES, _COUNTS)]
        self._states, self._counts = (file.open("ab") for file in files)
        index = read_index(files[1], self._kind)
        self.passages = whole(index, files[0].stat().st_size // width)
        self._states.truncate(int(starts_of(index)[self.passages]) * width)
        self._counts.truncate(self.passages * 2 * self._kind.itemsize)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._states.close()
        self._counts.close()

    def append(self, packed: Sequence[Packed], truncated: Sequence[bool]) -> None:
        """Write the states (L, columns) of the next passages, and whether each was cut."""
        self._states.writelines(one.tobytes() for one in packed)
        self._states.flush()  # before their numbers are, so that what counts is there
        numbers = [(len(one), cut) for one, cut in zip(packed, truncated, strict=True)]
        self._counts.write(np.array(numbers, self._kind).tobytes())
        self._counts.flush()
        self.passages += len(numbers)


@dataclass(frozen=True, slots=True)
class StateStore:
    """The states of an opened bundle; safe to share between threads."""

    settings: StateSettings
    codec: Codec
    packed: Packed  # (n, columns)
    starts: Rows  # (passages + 1,) int64, each passage's first state

    @classmethod
    def open(
        cls, bundle: Path, segment: str, settings: StateSettings, ranker: RankerConfig, passages: int
    ) -> StateStore:  # fmt: skip
        """That of ``segment`` in the folder ``bundle``, of so many ``passages``. Raises BundleCorrupt."""
        if settings.ranker != ranker.fingerprint:
            reason = "its states are of another ranker than the bundle's"
            raise BundleCorrupt(bundle, f"{segment}/{_STATES}", reason)
        codec = load_codec(bundle, settings.form, ranker.dimension)
        kind = count_type(ranker.max_tokens)
        starts = starts_of(mapped(bundle, f"{segment}/{_COUNTS}", kind, (passages, 2)))
        if starts[-1] != settings.states:
            reason = f"counts {starts[-1]} states, expected {settings.states}"
            raise BundleCorrupt(bundle, f"{segment}/{_COUNTS}", reason)
        shape = (settings.states, codec.columns)
        packed = mapped(bundle, f"{segment}/{_STATES}", codec.kind, shape)
        return cls(settings, codec, packed, starts)

    def of(self, rows: Rows) -> list[Vectors]:
        """The states (L, d) float32 of each of the passages ``rows`` (C,), in that order."""
        places, counts = gather(self.starts, rows)
        found = self.codec.unpack(self.packed[places])
        return np.split(found, np.cumsum(counts)[:-1]) if len(rows) else []


def state_files(bundle: Path, segment: str) -> list[Path]:
    """What a store of ``segment`` consists of, but for means and scales."""
    return [bundle / segment / name for name in (_STATES, _COUNTS)]


def describe(bundle: Path, segment: str, codec: Codec, ranker: RankerConfig) -> StateSettings:
    """What the manifest says of the store that was written for ``segment``."""
    files = state_files(bundle, segment)
    index = read_index(files[1], count_type(ranker.max_tokens))
    states, truncated = index.sum(axis=0, dtype=np.int64)
    return StateSettings(
        form=codec.form, ranker=ranker.fingerprint, states=int(states), truncated=int(truncated),
        bytes=sum(file.stat().st_size for file in files),
    )  # fmt: skip


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
