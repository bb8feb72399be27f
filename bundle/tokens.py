"""The token store: every passage's packed 1-bit tokens, memory-mapped.

::

    segments/000000/
      tokens.bin    codes of bits / 8 bytes, passage after passage, each passage's in its tokens' order
      tokens.pos    of each code, where the token nearest to it stands in its passage
      tokens.idx    of each passage, how many codes it has and how many tokens it had
    tokens/
      coder.npz     how token states become codes                              models.tokens.coder

Places and numbers are unsigned integers of as few bytes as the encoder's longest passage needs: one and
two for 256 tokens. Nothing but ``tokens.idx`` is read when a store is opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from lurcher.bundle.coders import load_coder
from lurcher.bundle.passages import Rows
from lurcher.bundle.ragged import count_type, gather, mapped, read_index, starts_of, whole
from lurcher.models.encoders.config import EncoderConfig
from lurcher.models.encoders.student import SHA256
from lurcher.models.errors import BundleCorrupt
from lurcher.models.tokens.coder import Coded, Codes, TokenCoder

CODER = "tokens/coder.npz"
_CODES, _POSITIONS, _COUNTS = "tokens.bin", "tokens.pos", "tokens.idx"


class TokenSettings(BaseModel):
    """What the manifest says of the token store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bits: int = Field(ge=8, multiple_of=8, description="a code")
    share: float = Field(gt=0, le=1, description="of the tokens that are kept")
    encoder: str = Field(pattern=SHA256, description="fingerprint of what made the token states")
    tokens: int = Field(ge=0, description="that the passages had, without special ones")
    codes: int = Field(ge=0)
    bytes: int = Field(ge=0, description="codes, positions and numbers of codes together")


def position_type(max_tokens: int) -> np.dtype[Any]:
    """The type of a token's place in a passage."""
    return np.min_scalar_type(max_tokens - 1)


class TokenWriter:
    """Appends the tokens of passages to a segment, going on after those that are whole."""

    def __init__(self, segment: Path, bits: int, max_tokens: int) -> None:
        self._width = bits // 8
        self._position, self._count = position_type(max_tokens), count_type(max_tokens)
        self._files = [(segment / name).open("ab") for name in (_CODES, _POSITIONS, _COUNTS)]
        self._index = segment / _COUNTS

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        for file in self._files:
            file.close()

    @property
    def passages(self) -> int:
        """How many are there whole."""
        codes, positions, _ = self._files
        held = min(codes.tell() // self._width, positions.tell() // self._position.itemsize)
        return whole(read_index(self._index, self._count), held)

    def keep(self, passages: int) -> None:
        """Forget all but the first ``passages``, which are there."""
        codes = int(read_index(self._index, self._count)[:passages, 0].sum(dtype=np.int64))
        sizes = (self._width, self._position.itemsize, 2 * self._count.itemsize)
        for file, size, entries in zip(self._files, sizes, (codes, codes, passages), strict=True):
            file.seek(file.truncate(size * entries))

    def append(self, coded: Sequence[Coded]) -> None:
        """Write the tokens of the next passages."""
        codes, positions, counts = self._files
        codes.writelines(one.codes.tobytes() for one in coded)
        positions.writelines(one.positions.astype(self._position).tobytes() for one in coded)
        for file in (codes, positions):
            file.flush()
        numbers = [(len(one.codes), one.tokens) for one in coded]
        counts.write(np.array(numbers, self._count).tobytes())
        counts.flush()


@dataclass(frozen=True, slots=True)
class TokenStore:
    """The tokens of an opened bundle; safe to share between threads."""

    settings: TokenSettings
    coder: TokenCoder
    codes: Codes  # (n, bits/8)
    positions: npt.NDArray[Any]  # (n,) unsigned
    starts: Rows  # (passages + 1,) int64, each passage's first code

    @classmethod
    def open(
        cls, bundle: Path, segment: str, settings: TokenSettings, encoder: EncoderConfig, passages: int
    ) -> TokenStore:  # fmt: skip
        """That of ``segment`` in the folder ``bundle``, of so many ``passages``. Raises BundleCorrupt."""
        if settings.encoder != encoder.fingerprint:
            reason = "its tokens are of another encoder than the bundle's"
            raise BundleCorrupt(bundle, f"{segment}/{_CODES}", reason)
        coder = load_coder(bundle, CODER, TokenCoder.load, settings.bits, encoder)
        width = settings.bits // 8
        counts, kind = f"{segment}/{_COUNTS}", count_type(encoder.max_tokens)
        numbers = mapped(bundle, counts, kind, (passages, 2))
        codes, tokens = numbers.sum(axis=0, dtype=np.int64).tolist()
        if (codes, tokens) != (settings.codes, settings.tokens):
            expected = f"{settings.codes} of {settings.tokens}"
            reason = f"counts {codes} codes of {tokens} tokens, expected {expected}"
            raise BundleCorrupt(bundle, counts, reason)
        place = position_type(encoder.max_tokens)
        return cls(
            settings, coder, mapped(bundle, f"{segment}/{_CODES}", np.uint8, (settings.codes, width)),
            mapped(bundle, f"{segment}/{_POSITIONS}", place, (settings.codes,)), starts_of(numbers),
        )  # fmt: skip

    def of(self, rows: Rows) -> tuple[Codes, Rows]:
        """The codes (n, bits/8) of passages ``rows`` (C,) in that order, and each one's number (C,)."""
        places, counts = gather(self.starts, rows)
        return self.codes[places], counts

    def positions_of(self, row: int) -> Rows:
        """Where the token nearest to each code of the passage ``row`` stands in it, (n,) from 0."""
        return self.positions[self.starts[row] : self.starts[row + 1]].astype(np.int64)


def token_files(bundle: Path, segment: str) -> list[Path]:
    """What a store of ``segment`` consists of, but for the coder."""
    return [bundle / segment / name for name in (_CODES, _POSITIONS, _COUNTS)]


def describe(
    bundle: Path, segment: str, coder: TokenCoder, share: float, encoder: EncoderConfig
) -> TokenSettings:
    """What the manifest says of the store that was written for ``segment``."""
    files = token_files(bundle, segment)
    index = read_index(files[2], count_type(encoder.max_tokens))
    codes, tokens = index.sum(axis=0, dtype=np.int64)
    return TokenSettings(
        bits=coder.bits, share=share, encoder=encoder.fingerprint, tokens=int(tokens),
        codes=int(codes), bytes=sum(file.stat().st_size for file in files),
    )  # fmt: skip
