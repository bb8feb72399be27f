"""The token store: the packed 1-bit tokens of every passage, memory-mapped (see ``jagged``).

::

    segments/000000/
      tokens.bin    codes of bits / 8 bytes, passage after passage, in the order of their tokens
      tokens.pos    per code, the position in its passage of the token nearest to it
      tokens.idx    per passage, how many codes and how many tokens it has
    tokens/
      coder.npz     how token states become codes                              models.tokens.coder

Positions and counts are unsigned integers of as few bytes as the encoder's longest passage needs: one and
two for 256 tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from lurcher.models.tokens.coder import Coded, Codes, TokenCoder

CODER = "tokens/coder.npz"
_CODES, _POSITIONS, _INDEX = "tokens.bin", "tokens.pos", "tokens.idx"


class TokenSettings(BaseModel):
    """What the manifest says of the token store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bits: int = Field(ge=8, multiple_of=8, description="per code")
    keep_ratio: float = Field(
        gt=0, le=1, description="at most this share of a passage's tokens have a code"
    )
    encoder: str = Field(pattern=SHA256, description="fingerprint of what made the token states")
    tokens: int = Field(ge=0, description="of the passages, without special ones")
    codes: int = Field(ge=0)
    bytes: int = Field(ge=0, description="of codes, positions and index together")


def position_type(max_tokens: int) -> np.dtype[Any]:
    """The type of a token's position in a passage of at most ``max_tokens``."""
    return np.min_scalar_type(max_tokens - 1)


def token_layout(bits: int, max_tokens: int) -> JaggedLayout:
    """The files of a store with codes of ``bits``, of an encoder that reads ``max_tokens``."""
    columns = (
        Column(_CODES, np.dtype(np.uint8), bits // 8),
        Column(_POSITIONS, position_type(max_tokens)),
    )
    return JaggedLayout(columns, _INDEX, ("codes", "tokens"), count_type(max_tokens))


def token_files(bundle: Path, segment: str) -> list[Path]:
    """The files of the store of ``segment``, without the coder."""
    return [bundle / segment / name for name in (_CODES, _POSITIONS, _INDEX)]


class TokenWriter(JaggedWriter):
    """Appends the tokens of passages to a segment."""

    def __init__(
        self, segment: Path, bits: int, max_tokens: int, fail_point: FailPoint = carry_on
    ) -> None:
        super().__init__(segment, token_layout(bits, max_tokens), fail_point)

    def append_coded(self, coded: Sequence[Coded]) -> None:
        """Write the tokens of the next passages."""
        codes, positions = [one.codes for one in coded], [one.positions for one in coded]
        self.append((codes, positions), [one.tokens for one in coded])


@dataclass(frozen=True, slots=True)
class TokenStore:
    """The tokens of an opened bundle; safe to share between threads."""

    settings: TokenSettings
    coder: TokenCoder
    entries: Entries

    def gather(self, rows: Rows) -> tuple[Codes, Rows]:
        """The codes (n, bits/8) of passages ``rows`` (C,) in that order, and how many each has (C,)."""
        return self.entries.gather(rows)

    def gather_positions(self, rows: Rows) -> Rows:
        """The position of the token nearest to each code of passages ``rows`` (C,), (n,) int64 from 0."""
        return self.entries.gather(rows, column=1)[0].astype(np.int64)


def load_token_coder(
    bundle: Path, segment: str, settings: TokenSettings, encoder: EncoderConfig, file: str = CODER
) -> TokenCoder:
    """The coder in ``file`` of ``bundle``, whose store of ``segment`` has ``settings``.

    Raises BundleCorrupt.
    """
    if settings.encoder != encoder.fingerprint:
        reason = "its tokens are of another encoder than the bundle's"
        raise BundleCorrupt(bundle, f"{segment}/{_CODES}", reason)
    return load_coder(bundle, file, TokenCoder.load, settings.bits, encoder)


def open_tokens(
    bundle: Path, segment: str, settings: TokenSettings, encoder: EncoderConfig, passages: int
) -> JaggedStore:
    """The codes and positions of ``segment``, which has ``passages`` passages. Raises BundleCorrupt."""
    layout = token_layout(settings.bits, encoder.max_tokens)
    return JaggedStore.open(bundle, segment, layout, passages, settings.codes, settings.tokens)


def describe_tokens(
    bundle: Path, segment: str, coder: TokenCoder, keep_ratio: float, encoder: EncoderConfig
) -> TokenSettings:
    """What the manifest says of the store that was written for ``segment``."""
    layout = token_layout(coder.bits, encoder.max_tokens)
    (codes, tokens), size = layout.measure(bundle / segment)
    return TokenSettings(
        bits=coder.bits, keep_ratio=keep_ratio, encoder=encoder.fingerprint, tokens=tokens, codes=codes,
        bytes=size,
    )  # fmt: skip
