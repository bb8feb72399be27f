"""The reading store: every passage's tokens in the detail that a reader needs, memory-mapped.

::

    segments/000000/
      reading.bin    codes of bits / 8 bytes, passage after passage, in their tokens' order
      reading.idx    of each passage, how many codes it has
    reading/
      coder.npz      how lower states become codes, and codes states       models.reader.coder

One code a token, but for those that are too common to tell anything: the same that the token store leaves
out. Which tokens of its text they are is not kept: whoever reads a passage has its text, and the encoder's
tokeniser. Numbers are unsigned integers of as few bytes as the encoder's longest passage needs. Nothing but
``reading.idx`` and the coder is read when a store is opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lurcher.bundle.coders import load_coder
from lurcher.bundle.passages import Rows
from lurcher.bundle.ragged import count_type, gather, mapped, starts_of, whole
from lurcher.models.encoders.config import EncoderConfig
from lurcher.models.encoders.student import SHA256
from lurcher.models.errors import BundleCorrupt
from lurcher.models.reader.coder import DetailCoder
from lurcher.models.tokens.coder import Codes

READING_CODER = "reading/coder.npz"
_CODES, _COUNTS = "reading.bin", "reading.idx"


class ReadingSettings(BaseModel):
    """What the manifest says of the reading store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bits: int = Field(ge=8, multiple_of=8, description="a code")
    encoder: str = Field(pattern=SHA256, description="fingerprint of what made the token states")
    codes: int = Field(ge=0)
    bytes: int = Field(ge=0, description="codes and numbers of codes together")


class ReadingWriter:
    """Appends the codes of passages to a segment, going on after those that are whole."""

    def __init__(self, segment: Path, bits: int, max_tokens: int) -> None:
        self._width, self._count = bits // 8, count_type(max_tokens)
        self._codes, self._counts = ((segment / name).open("ab") for name in (_CODES, _COUNTS))
        self._index = segment / _COUNTS

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._codes.close()
        self._counts.close()

    @property
    def passages(self) -> int:
        """How many are there whole."""
        counts = np.fromfile(self._index, self._count)[:, None]
        return whole(counts, self._codes.tell() // self._width)

    def keep(self, passages: int) -> None:
        """Forget all but the first ``passages``, which are there."""
        counts = np.fromfile(self._index, self._count)[:passages]
        codes = int(counts.sum(dtype=np.int64))
        self._codes.seek(self._codes.truncate(codes * self._width))
        self._counts.seek(self._counts.truncate(passages * self._count.itemsize))

    def append(self, codes: Sequence[Codes]) -> None:
        """Write the codes (n, bits/8) of the next passages."""
        self._codes.writelines(one.tobytes() for one in codes)
        self._codes.flush()  # before their numbers are, so that what counts is there
        self._counts.write(np.array([len(one) for one in codes], self._count).tobytes())
        self._counts.flush()


@dataclass(frozen=True, slots=True)
class ReadingStore:
    """The codes of an opened bundle; safe to share between threads."""

    settings: ReadingSettings
    coder: DetailCoder
    codes: Codes  # (n, bits/8)
    starts: Rows  # (passages + 1,) int64, each passage's first code

    @classmethod
    def open(
        cls, bundle: Path, segment: str, settings: ReadingSettings, encoder: EncoderConfig,
        passages: int,
    ) -> ReadingStore:  # fmt: skip
        """That of ``segment`` in the folder ``bundle``, of so many ``passages``. Raises BundleCorrupt."""
        if settings.encoder != encoder.fingerprint:
            reason = "its codes are of another encoder than the bundle's"
            raise BundleCorrupt(bundle, f"{segment}/{_CODES}", reason)
        coder = load_coder(bundle, READING_CODER, DetailCoder.load, settings.bits, encoder)

        index = f"{segment}/{_COUNTS}"
        starts = starts_of(mapped(bundle, index, count_type(encoder.max_tokens), (passages, 1)))
        if starts[-1] != settings.codes:
            reason = f"counts {starts[-1]} codes, expected {settings.codes}"
            raise BundleCorrupt(bundle, index, reason)
        shape = (settings.codes, settings.bits // 8)
        codes = mapped(bundle, f"{segment}/{_CODES}", np.uint8, shape)
        return cls(settings, coder, codes, starts)

    def of(self, rows: Rows) -> tuple[Codes, Rows]:
        """The codes (n, bits/8) of passages ``rows`` (C,) in that order, and each one's number (C,)."""
        places, counts = gather(self.starts, rows)
        return self.codes[places], counts


def reading_files(bundle: Path, segment: str) -> list[Path]:
    """What a store of ``segment`` consists of, but for the coder."""
    return [bundle / segment / name for name in (_CODES, _COUNTS)]


def describe(
    bundle: Path, segment: str, coder: DetailCoder, encoder: EncoderConfig
) -> ReadingSettings:
    """What the manifest says of the store that was written for ``segment``."""
    files = reading_files(bundle, segment)
    codes = np.fromfile(files[1], count_type(encoder.max_tokens)).sum(dtype=np.int64)
    return ReadingSettings(
        bits=coder.bits, encoder=encoder.fingerprint, codes=int(codes),
        bytes=sum(file.stat().st_size for file in files),
    )  # fmt: skip
