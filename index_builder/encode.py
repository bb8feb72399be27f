"""Passages to vectors and tokens, resumable at any passage.

Plain files grow side by side, one entry a passage in row order: ``vectors.f32`` (d float32 each), the
token store's and the reading store's, and ``flags.u8`` (TRUNCATED, EMPTY). The last is written last, so its
length is how many passages are done.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from lurcher.bundle.passages import Passages
from lurcher.bundle.vectors import Vectors
from lurcher.index_builder.progress import Reporter
from lurcher.index_builder.tokens import Coding
from lurcher.models.encoders.encoder import Encoder

TRUNCATED = 1  # longer than the encoder reads
EMPTY = 2  # neither title nor text

# Passages encoded before anything is written: enough to sort by length well, and what a kill costs.
_CHUNK = 1_024


def vectors_file(scratch: Path) -> Path:
    """Where the vectors are, raw."""
    return scratch / "vectors.f32"


def flags_file(scratch: Path) -> Path:
    """Where the passages' flags are."""
    return scratch / "flags.u8"


def encode_passages(
    passages: Passages, encoder: Encoder, scratch: Path, report: Reporter,
    coding: Coding | None = None,
) -> None:  # fmt: skip
    """Write the vector of every passage into ``scratch``, going on from what is there.

    With ``coding``, its tokens too, of the same pass. A passage with neither title nor text gets the zero
    vector and no token: no query comes near it.
    """
    width = 4 * encoder.config.dimension
    with ExitStack() as files:
        vectors = files.enter_context(vectors_file(scratch).open("ab"))
        flags = files.enter_context(flags_file(scratch).open("ab"))
        start = min(vectors.tell() // width, flags.tell())
        if coding is not None:
            stores = coding.open(encoder, files)
            start = min(start, stores.passages)
        if start < passages.count:
            start -= start % _CHUNK  # other batches round otherwise, and a sign may change by it
        if coding is not None:
            stores.truncate(start)
        vectors.truncate(start * width)
        flags.truncate(start)
        report.stage("encoding", passages.count, start)
        for first in range(start, passages.count, _CHUNK):
            rows = range(first, min(first + _CHUNK, passages.count))
            texts = [passage.content for passage in passages.get(rows)]
            tokens = encoder.tokenise(texts)
            empty = np.array([not text for text in texts])
            if coding is None:
                found = encoder.encode_tokens(tokens)
            else:
                found, kept = coding.encode(encoder, tokens)
                stores.append(kept)
            found[empty] = 0.0
            vectors.write(found.tobytes())
            vectors.flush()
            cut = np.array([t.truncated for t in tokens])
            flags.write((cut * TRUNCATED + empty * EMPTY).astype(np.uint8).tobytes())
            flags.flush()
            report.advance(len(rows))


def encoded_vectors(scratch: Path, count: int, dimension: int) -> Vectors:
    """The vectors (count, d) float32 that ``encode_passages`` wrote, memory-mapped."""
    return np.memmap(vectors_file(scratch), np.float32, "r", shape=(count, dimension))


def flagged(scratch: Path, flag: int) -> int:
    """How many passages have ``flag``."""
    return int(np.count_nonzero(np.fromfile(flags_file(scratch), np.uint8) & flag))
