"""What a segment holds of its passages, read back: nothing is encoded twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lurcher.bundle.codecs import Codecs
from lurcher.bundle.jagged import Array, JaggedLayout, JaggedStore
from lurcher.bundle.manifest import Manifest
from lurcher.bundle.passages import Rows
from lurcher.bundle.segment import Segment
from lurcher.bundle.state_store import state_layout
from lurcher.bundle.token_store import token_layout
from lurcher.index_builder.edit.encode import Encoded, States
from lurcher.index_builder.stages.encode_passages import Kept
from lurcher.models.ranker.seq2seq import RankerConfig
from lurcher.models.tokens.coder import Coded


class Gatherer:
    """Reads passages of one segment of files."""

    def __init__(self, root: Path, manifest: Manifest, codecs: Codecs, segment: Segment) -> None:
        """Read from ``segment`` of the bundle at ``root``."""
        self._segment = segment
        folder = root / "segments" / segment.name
        self._tokens: Array | None = None
        self._truncated: Array | None = None
        if segment.tokens is not None and manifest.tokens and manifest.encoder:
            layout = token_layout(manifest.tokens.bits, manifest.encoder.max_tokens)
            self._tokens = _second(layout, folder)
        if codecs.states is not None and isinstance(manifest.ranker, RankerConfig):
            layout = state_layout(codecs.states, manifest.ranker.max_tokens)
            self._truncated = _second(layout, folder)

    def read(self, rows: Rows) -> Encoded:
        """The passages at ``rows`` (n,), in that order."""
        one, order = self._segment, rows.tolist()
        vectors = None if one.vectors is None else one.vectors.vectors(rows)
        kept: tuple[Kept, ...] = ()
        if one.tokens is not None and self._tokens is not None:
            codes, positions = (_split(one.tokens, rows, column) for column in (0, 1))
            coded = map(Coded, codes, positions, self._tokens[rows].tolist())
            reading = [None] * len(rows) if one.reading is None else _split(one.reading, rows)
            kept = tuple(map(Kept, coded, reading))
        states: tuple[States, ...] = ()
        if one.states is not None and self._truncated is not None:
            truncated = self._truncated[rows].astype(bool).tolist()
            states = tuple(map(States, _split(one.states, rows), truncated))
        passages = one.passages.get(order)
        sources, since = one.passages.sources(order), one.passages.since(order)
        return Encoded(tuple(passages), tuple(sources), vectors, kept, states, tuple(since))


def _second(layout: JaggedLayout, folder: Path) -> Array:
    """The second number of each passage in the index of the store in ``folder``, (n,)."""
    column: Array = layout.read_index(folder)[:, 1]
    return column


def _split(store: JaggedStore, rows: Rows, column: int = 0) -> list[Array]:
    """The entries of each of ``rows``."""
    entries, counts = store.gather(rows, column)
    return np.split(entries, np.cumsum(counts)[:-1])
