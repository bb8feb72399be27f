"""The reading store: the tokens of every passage in the detail that a reader needs (see ``jagged``).

::

    segments/000000/
      reading.bin    codes of bits / 8 bytes, passage after passage, in the order of their tokens
      reading.idx    per passage, how many codes it has
    reading/
      coder.npz      how lower states become codes, and codes states       models.reader.coder

Every informative token has one code: those that the token store leaves out as too common are left out here
as well. Which tokens of the text they are is not stored: whoever reads a passage has its text and the
encoder's tokeniser. Counts are unsigned integers of as few bytes as the encoder's longest passage needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lurcher.bundle.coders import load_coder
from lurcher.bundle.fail_points import FailPoint, carry_on
from lurcher.bundle.jagged import Column, JaggedLayout, JaggedStore, JaggedWriter, count_type
from lurcher.bundle.passages import Rows
from lurcher.bundle.segmented.entries import Entries
from lurcher.errors import BundleCorrupt
from lurcher.models.encoders.config import EncoderConfig
from lurcher.models.encoders.student import SHA256
from lurcher.models.reader.coder import ReadingCoder
from lurcher.models.tokens.coder import Codes

READING_CODER = "reading/coder.npz"
_CODES, _INDEX = "reading.bin", "reading.idx"


class ReadingSettings(BaseModel):
    """What the manifest says of the reading store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bits: int = Field(ge=8, multiple_of=8, description="per code")
    encoder: str = Field(pattern=SHA256, description="fingerprint of what made the token states")
    codes: int = Field(ge=0)
    bytes: int = Field(ge=0, description="of codes and index together")


def reading_layout(bits: int, max_tokens: int) -> JaggedLayout:
    """The files of a store with codes of ``bits``, of an encoder that reads ``max_tokens``."""
    columns = (Column(_CODES, np.dtype(np.uint8), bits // 8),)
    return JaggedLayout(columns, _INDEX, ("codes",), count_type(max_tokens))


def reading_files(bundle: Path, segment: str) -> list[Path]:
    """The files of the store of ``segment``, without the coder."""
    return [bundle / segment / name for name in (_CODES, _INDEX)]


class ReadingWriter(JaggedWriter):
    """Appends the codes of passages to a segment."""

    def __init__(
        self, segment: Path, bits: int, max_tokens: int, fail_point: FailPoint = carry_on
    ) -> None:
        super().__init__(segment, reading_layout(bits, max_tokens), fail_point)

    def append_codes(self, codes: Sequence[Codes]) -> None:
        """Write the codes (n, bits/8) of the next passages."""
        self.append((codes,))


@dataclass(frozen=True, slots=True)
class ReadingStore:
    """The codes of an opened bundle; safe to share between threads."""

    settings: ReadingSettings
    coder: ReadingCoder
    entries: Entries

    def gather(self, rows: Rows) -> tuple[Codes, Rows]:
        """The codes (n, bits/8) of passages ``rows`` (C,) in that order, and how many each has (C,)."""
        return self.entries.gather(rows)

    def counts(self, rows: Rows) -> Rows:
        """How many codes each of the passages ``rows`` (C,) has, (C,) int64."""
        return self.entries.counts(rows)


def load_reading_coder(
    bundle: Path, segment: str, settings: ReadingSettings, encoder: EncoderConfig,
    file: str = READING_CODER,
) -> ReadingCoder:  # fmt: skip
    """The coder in ``file`` of ``bundle``, whose store of ``segment`` has ``settings``.

    Raises BundleCorrupt.
    """
    if settings.encoder != encoder.fingerprint:
        reason = "its codes are of another encoder than the bundle's"
        raise BundleCorrupt(bundle, f"{segment}/{_CODES}", reason)
    return load_coder(bundle, file, ReadingCoder.load, settings.bits, encoder)


def open_reading(
    bundle: Path, segment: str, settings: ReadingSettings, encoder: EncoderConfig, passages: int
) -> JaggedStore:
    """The codes of ``segment``, which has ``passages`` passages. Raises BundleCorrupt."""
    layout = reading_layout(settings.bits, encoder.max_tokens)
    return JaggedStore.open(bundle, segment, layout, passages, settings.codes)


def describe_reading(
    bundle: Path, segment: str, coder: ReadingCoder, encoder: EncoderConfig
) -> ReadingSettings:
    """What the manifest says of the store that was written for ``segment``."""
    layout = reading_layout(coder.bits, encoder.max_tokens)
    (codes,), size = layout.measure(bundle / segment)
    return ReadingSettings(bits=coder.bits, encoder=encoder.fingerprint, codes=codes, bytes=size)
