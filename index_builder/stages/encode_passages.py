"""Stage ``vectors``: passages to vectors and tokens, the long one; goes on at any passage.

Plain files grow side by side, one entry a passage in row order: ``vectors.f32`` (d float32 each), the token
store's and the reading store's, and ``flags.u8`` (TRUNCATED, EMPTY, UNFAMILIAR). The flags are written last,
so their number is how many passages are done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lurcher.bundle.bundle import SEGMENT
from lurcher.bundle.fail_points import FailPoint, carry_on
from lurcher.bundle.reading_store import ReadingWriter
from lurcher.bundle.token_store import TokenWriter
from lurcher.bundle.vectors import Vectors
from lurcher.index_builder.build_context import BuildContext
from lurcher.index_builder.passage_tokens import PassageTokens
from lurcher.models.encoders.encoder import LOWER_STATES, TOKEN_STATES, VECTOR, Encoder
from lurcher.models.encoders.tokenizer import Tokens
from lurcher.models.reader.coder import ReadingCoder
from lurcher.models.tokens.coder import Coded, Codes, TokenCoder
from lurcher.models.tokens.passages import encode_passages

VECTORS_FILE, FLAGS_FILE = "vectors.f32", "flags.u8"  # below the workspace's scratch folder
TRUNCATED = 1  # longer than the encoder reads
EMPTY = 2  # neither title nor text
UNFAMILIAR = 4  # more than a third of its tokens stand for what the tokeniser does not know


Flags = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a passage's token states."""

    coded: Coded  # for the token store
    reading: Codes | None  # for the reading store, if there is one


@dataclass(frozen=True, slots=True)
class Coding:
    """How token states become codes; ``reading_coder`` None: there is no reading store."""

    token_coder: TokenCoder
    keep_ratio: float
    reading_coder: ReadingCoder | None = None

    def encode(
        self, encoder: Encoder, tokens: Sequence[Tokens], advance: Callable[[int], object],
        alone: Collection[int] = (),
    ) -> tuple[Vectors, list[Kept]]:  # fmt: skip
        """Vectors (n, d) and codes of passages, of one pass of ``encoder``, which takes ``alone``.

        ``advance`` counts each batch.
        """
        states = [TOKEN_STATES] if self.reading_coder is None else [TOKEN_STATES, LOWER_STATES]

        def keep(ids: Sequence[Sequence[int]], *found: Sequence[Vectors]) -> list[Kept]:
            kept = self._keep(ids, *found)
            advance(len(ids))
            return kept

        return encode_passages(encoder, tokens, keep, states, alone)

    def _keep(
        self, ids: Sequence[Sequence[int]], states: Sequence[Vectors],
        lower: Sequence[Vectors] | None = None,
    ) -> list[Kept]:  # fmt: skip
        """The codes of a batch of passages."""
        coded = self.token_coder.code_batch(states, ids, self.keep_ratio)
        if self.reading_coder is None or lower is None:
            return [Kept(one, None) for one in coded]
        arrays = [np.array(own, np.int64) for own in ids]
        positions = self.token_coder.informative_batch(arrays)
        codes = self.reading_coder.code_batch(
            [found[kept] for found, kept in zip(lower, positions, strict=True)],
            [own[kept] for own, kept in zip(arrays, positions, strict=True)],
        )
        return [Kept(one, reading) for one, reading in zip(coded, codes, strict=True)]


class PassageOutputs:
    """The files that grow with every passage: vectors, flags and, if there is a ``coding``, its stores."""

    def __init__(
        self, scratch: Path, segment: Path, encoder: Encoder, coding: Coding | None,
        fail_point: FailPoint = carry_on,
    ) -> None:  # fmt: skip
        self._width, self._fail_point = 4 * encoder.config.dimension, fail_point
        longest = encoder.config.max_tokens
        self._stack = ExitStack()
        self._vectors = self._stack.enter_context((scratch / VECTORS_FILE).open("ab"))
        self._flags = self._stack.enter_context((scratch / FLAGS_FILE).open("ab"))
        self._tokens: TokenWriter | None = None
        self._reading: ReadingWriter | None = None
        if coding is not None:
            bits = coding.token_coder.bits
            self._tokens = self._stack.enter_context(
                TokenWriter(segment, bits, longest, fail_point)
            )
        if coding is not None and coding.reading_coder is not None:
            bits = coding.reading_coder.bits
            self._reading = self._stack.enter_context(
                ReadingWriter(segment, bits, longest, fail_point)
            )
        self._stores = [store for store in (self._tokens, self._reading) if store is not None]
        self.passages = min(
            self._vectors.tell() // self._width,
            self._flags.tell(),
            *(store.passages for store in self._stores),
        )

    def truncate(self, passages: int) -> None:
        """Remove all but the first ``passages``, which must be there."""
        for store in self._stores:
            store.truncate(passages)
        self._vectors.truncate(passages * self._width)
        self._flags.truncate(passages)
        self.passages = passages

    def append(self, kept: Sequence[Kept], vectors: Vectors, flags: Flags) -> None:
        """Write the next passages; ``kept`` is empty if there are no stores."""
        if self._tokens is not None:
            self._tokens.append_coded([one.coded for one in kept])
        if self._reading is not None:
            self._reading.append_codes([one.reading for one in kept if one.reading is not None])
        self._vectors.write(vectors.tobytes())
        self._vectors.flush()
        self._fail_point(f"{VECTORS_FILE}: passages appended")
        self._flags.write(flags.tobytes())
        self._flags.flush()
        self.passages += len(vectors)

    def close(self) -> None:
        """Close the files."""
        self._stack.close()


def depends_on(context: BuildContext) -> object:
    """The encoder and what runs it, if it is to encode."""
    if not context.options.vectors:
        return None
    return [context.models.config.fingerprint, context.encoder.choice.name]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Passages that are encoded together: their tokens, and the places of those in batches of one."""

    tokens: Sequence[Tokens]
    alone: frozenset[int]


# What makes vectors (n, d) and codes of chunks, in their order; chunks are read as they are asked for.
EncodeChunks = Callable[
    [BuildContext, Coding | None, Iterator[Chunk]], Iterator[tuple[Vectors, list[Kept]]]
]


def encode_here(
    context: BuildContext, coding: Coding | None, chunks: Iterator[Chunk]
) -> Iterator[tuple[Vectors, list[Kept]]]:
    """Encode one chunk after another in this process."""
    for chunk in chunks:
        yield encode_chunk(context.encoder, coding, chunk, context.report.advance)


def encode_chunk(
    encoder: Encoder, coding: Coding | None, chunk: Chunk, advance: Callable[[int], object] = str
) -> tuple[Vectors, list[Kept]]:
    """Vectors (n, d) and codes of ``chunk``; without ``coding`` no codes. ``advance`` counts each batch."""
    if coding is None:
        return encode_vectors(encoder, chunk.tokens, advance, chunk.alone), []
    return coding.encode(encoder, chunk.tokens, advance, chunk.alone)


def run(context: BuildContext, encode: EncodeChunks = encode_here) -> None:
    """Write vector, tokens and flags of every passage, going on from what is there.

    A passage with neither title nor text gets the zero vector and no token: no query comes near it. Where
    vectors are left out, only such passages are flagged.
    """
    if not context.options.vectors:
        _flag_empty(context)
        return
    encoder, tokens, size = context.encoder, context.tokens, context.chunk_size
    coding, count = _coding(context), tokens.count
    outputs = PassageOutputs(
        context.scratch, context.bundle / SEGMENT, encoder, coding, context.fail_point
    )
    try:
        start = outputs.passages
        if start < count:
            start -= start % size  # other batches round otherwise, and a sign may change by it
        outputs.truncate(start)
        copied = copies(tokens, size)
        context.report.stage("encoding", count, start)
        begun: deque[tuple[Flags, npt.NDArray[np.bool_]]] = (
            deque()
        )  # of chunks that are not written

        def chunks() -> Iterator[Chunk]:
            for first in range(start, count, size):
                rows = range(first, min(first + size, count))
                read, empty = tokens.read(rows)
                begun.append((flags_of(encoder, read, empty), empty))
                alone = np.flatnonzero(copied[first : rows.stop]).tolist()
                yield Chunk(read, frozenset(alone))

        for vectors, kept in encode(context, coding, chunks()):
            flags, empty = begun.popleft()
            vectors[empty] = 0.0
            outputs.append(kept, vectors, flags)
    finally:
        outputs.close()


def flags_of(encoder: Encoder, read: Sequence[Tokens], empty: npt.NDArray[np.bool_]) -> Flags:
    """The flags (n,) of passages with these tokens, of which some are ``empty`` (n,)."""
    flags = np.array([one.truncated for one in read], np.uint8) * np.uint8(TRUNCATED)
    flags += empty.astype(np.uint8) * np.uint8(EMPTY)
    flags += _unfamiliar(encoder, read).astype(np.uint8) * np.uint8(UNFAMILIAR)
    return flags


def _flag_empty(context: BuildContext) -> None:
    """Write the flags of passages that nothing encodes."""
    passages, chunk = context.passages, context.chunk_size
    flags: list[int] = []
    for first in range(0, passages.count, chunk):
        rows = range(first, min(first + chunk, passages.count))
        flags += [EMPTY * (not content) for content in passages.contents(rows)]
    (context.scratch / FLAGS_FILE).write_bytes(bytes(flags))


def encode_vectors(
    encoder: Encoder, tokens: Sequence[Tokens], advance: Callable[[int], object],
    alone: Collection[int],
) -> Vectors:  # fmt: skip
    """The vectors (n, d) of passages; ``advance`` counts each batch."""
    vectors = np.zeros((len(tokens), encoder.config.dimension), np.float32)

    def keep(batch: list[int], found: Sequence[Vectors]) -> None:
        (vectors[batch],) = found
        advance(len(batch))

    encoder.visit_batches(tokens, [VECTOR], keep, alone)
    return vectors


def copies(tokens: PassageTokens, chunk: int) -> npt.NDArray[np.bool_]:
    """Which passages (n,) have the tokens of another; read ``chunk`` at a time.

    They are encoded in batches of one, so that passages of one text get one vector and one set of codes, to
    the last bit, and a search has no reason to prefer one of them.
    """
    hashes = np.empty(tokens.count, np.uint64)
    for first in range(0, tokens.count, chunk):
        read, _ = tokens.read(range(first, min(first + chunk, tokens.count)))
        hashes[first : first + len(read)] = [
            int.from_bytes(blake2b(np.array(one.ids).tobytes(), digest_size=8).digest(), "big")
            for one in read
        ]
    _, which, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    found: npt.NDArray[np.bool_] = counts[which] > 1
    return found


def _unfamiliar(encoder: Encoder, tokens: Sequence[Tokens]) -> npt.NDArray[np.bool_]:
    """Of which texts (n,) the tokeniser knows less than two thirds."""
    own = [
        np.array(one.ids[part])
        for one, part in zip(tokens, encoder.own_slices(tokens), strict=True)
    ]
    return np.array([3 * np.count_nonzero(ids == encoder.unknown) > len(ids) for ids in own], bool)


def _coding(context: BuildContext) -> Coding | None:
    options = context.options.tokens
    if context.token_coder is None or options is None:
        return None
    return Coding(context.token_coder, options.keep_ratio, context.reading_coder)


def encoded_vectors(scratch: Path, count: int, dimension: int) -> Vectors:
    """The vectors (count, d) float32 that the stage wrote, memory-mapped."""
    return np.memmap(scratch / VECTORS_FILE, np.float32, "r", shape=(count, dimension))


def flagged(scratch: Path, flag: int) -> int:
    """How many passages have ``flag``."""
    return int(np.count_nonzero(np.fromfile(scratch / FLAGS_FILE, np.uint8) & flag))
