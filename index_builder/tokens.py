"""Passages' token states to codes: a coder made for the corpus, and what fills the stores by it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lurcher.bundle.passages import Passages
from lurcher.bundle.reading_store import ReadingWriter
from lurcher.bundle.token_store import TokenWriter
from lurcher.bundle.vectors import Vectors
from lurcher.index_builder.progress import Reporter
from lurcher.models.encoders.encoder import LOWER_STATES, TOKEN_STATES, Encoder
from lurcher.models.encoders.tokenizer import Tokens
from lurcher.models.errors import FieldError, ModelError
from lurcher.models.reader.coder import DetailCoder
from lurcher.models.tokens.coder import (
    Coded,
    Codes,
    TokenCoder,
    check_bits,
    document_frequency,
    fit,
)
from lurcher.models.tokens.passages import encode_passages
from lurcher.models.tokens.projection import PROJECTION_FILE, Projection

# By the curve in docs/tokens: 8 bytes a token of a passage are to be enough, all counted.
BITS, SHARE = 160, 0.36

# Passages that the coder is made of; of 200 it was as good as of 1,000.
_SAMPLE = 256
# Passages whose tokens are counted.
_COUNTED = 16_384
_CHUNK = 1_024
# Passages whose states are in memory at once.
_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class TokenOptions:
    """What the token store is asked to be; ``bits`` None: as many as are good for the encoder."""

    bits: int | None = None
    share: float = SHARE

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise FieldError("token_share", f"must be above 0 and at most 1, not {self.share}")

    def bits_for(self, dimension: int) -> int:
        """Bits a code, for an encoder of so many dimensions. Raises FieldError where it has too few."""
        bits = min(BITS, dimension // 8 * 8) if self.bits is None else self.bits
        check_bits(bits, dimension)
        return bits


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a passage's token states."""

    coded: Coded  # for the token store
    details: Codes | None  # for the reading store, if there is one


@dataclass(frozen=True, slots=True)
class Stores:
    """What passages are appended to: the token store and, if there is one, the reading store."""

    tokens: TokenWriter
    reading: ReadingWriter | None

    @property
    def passages(self) -> int:
        """How many are there whole, in each store."""
        return min(store.passages for store in self._all())

    def truncate(self, passages: int) -> None:
        """Remove all but the first ``passages``, which must be there."""
        for store in self._all():
            store.truncate(passages)

    def append(self, kept: Sequence[Kept]) -> None:
        """Write what is kept of the next passages."""
        self.tokens.append_coded([one.coded for one in kept])
        if self.reading is not None:
            self.reading.append_codes([one.details for one in kept if one.details is not None])

    def _all(self) -> list[TokenWriter | ReadingWriter]:
        return [self.tokens] if self.reading is None else [self.tokens, self.reading]


@dataclass(frozen=True, slots=True)
class Coding:
    """Where the tokens of passages go, and how they become codes."""

    coder: TokenCoder
    share: float
    segment: Path
    details: DetailCoder | None = None  # of the reading store, if there is to be one

    def open(self, encoder: Encoder, files: ExitStack) -> Stores:
        """What the tokens of that encoder's passages are appended to, until ``files`` are closed."""
        longest = encoder.config.max_tokens
        tokens = files.enter_context(TokenWriter(self.segment, self.coder.bits, longest))
        if self.details is None:
            return Stores(tokens, None)
        writer = ReadingWriter(self.segment, self.details.bits, longest)
        return Stores(tokens, files.enter_context(writer))

    def encode(self, encoder: Encoder, tokens: list[Tokens]) -> tuple[Vectors, list[Kept]]:
        """Vectors (n, d) and codes of passages, of one pass of ``encoder``."""
        read = [TOKEN_STATES] if self.details is None else [TOKEN_STATES, LOWER_STATES]
        return encode_passages(encoder, tokens, self._kept, read)

    def _kept(self, ids: Sequence[int], states: Vectors, lower: Vectors | None = None) -> Kept:
        coded = self.coder.code(states, ids, self.share)
        if self.details is None or lower is None:
            return Kept(coded, None)
        telling = self.coder.telling(ids)
        details = self.details.code(lower[telling], np.array(ids, np.int64)[telling])
        return Kept(coded, details)


def trained_projection(folder: Path, options: TokenOptions, dimension: int) -> Projection | None:
    """The projection that was trained for the encoder in ``folder``, if there is one to as many bits.

    Raises FieldError for bits that cannot be had, ModelError where it cannot be used.
    """
    bits = options.bits_for(dimension)
    if not (folder / PROJECTION_FILE).exists():
        return None
    found = Projection.of(folder / PROJECTION_FILE)
    if found.dimension != dimension:
        raise ModelError(
            f"{folder / PROJECTION_FILE}: {found.dimension} dimensions, not {dimension}"
        )
    return found if found.bits == bits else None


def calibrate(
    passages: Passages, encoder: Encoder, options: TokenOptions, projection: Projection | None,
    seed: int, report: Reporter,
) -> TokenCoder:  # fmt: skip
    """A coder for the token states of ``passages``, made of a sample of them.

    ``projection`` is a trained one, None: principal components. Raises FieldError.
    """
    report.stage("calibrating", None)
    rows = np.random.default_rng(seed).permutation(passages.count)[:_COUNTED]
    counted = (
        tokens.ids[encoder.own_tokens(tokens)]
        for first in range(0, len(rows), _CHUNK)
        for tokens in encoder.tokenise(_texts(passages, rows[first : first + _CHUNK].tolist()))
    )
    frequency = document_frequency(counted, encoder.vocabulary)
    sampled = encoder.tokenise(_texts(passages, rows[:_SAMPLE].tolist()))
    states = (
        found[encoder.own_tokens(tokens)]
        for some in (sampled[i : i + _AT_ONCE] for i in range(0, len(sampled), _AT_ONCE))
        for found, tokens in zip(encoder.encode_states(some)[1], some, strict=True)
    )
    dimension = encoder.config.dimension
    return fit(states, dimension, frequency, options.bits_for(dimension), seed, projection)


def _texts(passages: Passages, rows: list[int]) -> list[str]:
    return [passage.content for passage in passages.get(sorted(rows))]
