"""A segment, opened: an immutable run of passages with all that searches read of them.

::

    segments/000000/
      passages.db              ids, titles, texts, metadata                  bundle.passages
      vectors.faiss            one vector a passage, unless left out         bundle.vectors
      copies.npy alike.npy     which passages have nearly the same text      bundle.copies
      lexical.*                which passages have each term, unless left out   bundle.postings
      tokens.*                 packed 1-bit tokens, unless left out          bundle.token_store
      reading.*                the tokens in more detail, if it answers      bundle.reading_store
      states.*                 a T5's states of the passages, if one ranks   bundle.state_store
      deleted-000007.npy       which of them are deleted, if any is          bundle.tombstones

Rows are those of the segment, from 0. Its files are mapped, or there are none: what was just written is a
segment of arrays in memory. What is frozen for all segments (``codecs``) and what is deleted are not its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lurcher.bundle.codecs import Codecs
from lurcher.bundle.copies import Keys, read_copies, read_keys
from lurcher.bundle.jagged import JaggedStore
from lurcher.bundle.manifest import Manifest, SegmentEntry
from lurcher.bundle.passages import Passages, Rows
from lurcher.bundle.postings import Postings
from lurcher.bundle.reading_store import open_reading
from lurcher.bundle.segmented.copies import SegmentCopies
from lurcher.bundle.state_store import open_states
from lurcher.bundle.token_store import open_tokens
from lurcher.bundle.uses import Uses
from lurcher.bundle.vectors import VectorIndex
from lurcher.models.ranker.seq2seq import RankerConfig

PASSAGES_FILE, VECTORS_FILE = "passages.db", "vectors.faiss"
COPIES_FILE, ALIKE_FILE = "copies.npy", "alike.npy"


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A run of passages; safe to share between threads and between snapshots.

    A store is None where the bundle has none.
    """

    name: str  # "" in memory
    passages: Passages
    vectors: VectorIndex | None
    lexical: Postings | None
    tokens: JaggedStore | None
    reading: JaggedStore | None
    states: JaggedStore | None
    copies: SegmentCopies
    uses: Uses

    @classmethod
    def of(
        cls, name: str, passages: Passages, *, vectors: VectorIndex | None = None,
        lexical: Postings | None = None, tokens: JaggedStore | None = None,
        reading: JaggedStore | None = None, states: JaggedStore | None = None,
        copies: Rows | None = None, keys: Keys | None = None,
    ) -> Segment:  # fmt: skip
        """The segment of these stores; ``passages`` are closed when the last snapshot with it is.

        ``copies`` (n,) has the first row with nearly the same text, None: no two are alike; ``keys`` (n,) has
        those of their words (``copies.words_key``).
        """
        alike, uses = SegmentCopies(passages.count, copies, keys), Uses(passages.close)
        return cls(name, passages, vectors, lexical, tokens, reading, states, alike, uses)

    @classmethod
    def open(cls, path: Path, manifest: Manifest, entry: SegmentEntry, codecs: Codecs) -> Segment:
        """The segment ``entry`` of the bundle at ``path``. Raises BundleCorrupt."""
        folder, count, stores = entry.folder, entry.passages, manifest.stores_of(entry)
        encoder, ranker = manifest.encoder, manifest.ranker
        lexical = tokens = reading = states = None
        if stores.lexical is not None:
            lexical = Postings.open(path, folder, stores.lexical, count)
        vectors = (
            None
            if encoder is None
            else VectorIndex.open(path / folder / VECTORS_FILE, manifest.figures.search_effort)
        )
        if codecs.tokens is not None and stores.tokens is not None and encoder is not None:
            tokens = open_tokens(path, folder, stores.tokens, encoder, count)
        copies = f"{folder}/{COPIES_FILE}"  # format 2 has none
        first = read_copies(path, copies, count) if copies in manifest.files else None
        alike = f"{folder}/{ALIKE_FILE}"
        keys = read_keys(path, alike, count) if alike in manifest.files else None
        if codecs.reading is not None and stores.reading is not None and encoder is not None:
            reading = open_reading(path, folder, stores.reading, encoder, count)
        if codecs.states is not None and stores.states is not None:
            assert isinstance(ranker, RankerConfig)  # noqa: S101 (what reads the states)
            states = open_states(path, folder, stores.states, codecs.states, ranker, count)
        return cls.of(
            entry.name, Passages(path / folder / PASSAGES_FILE), vectors=vectors, lexical=lexical,
            tokens=tokens, reading=reading, states=states, copies=first, keys=keys,
        )  # fmt: skip

    @property
    def count(self) -> int:
        """How many passages it has, deleted ones included."""
        return self.passages.count
