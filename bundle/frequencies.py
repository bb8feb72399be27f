"""How many passages had each term when they were last counted: frozen for a collection.

::

    lexical/
      frequencies.terms  the terms in UTF-8, one after the other, in the order of their bytes
      frequencies.idx    per term, how many bytes it has, and how many passages had it

With these a passage scores the same in whatever segment it lies and whatever is added beside it. A bundle
without these files, such as any that was built and never compacted, takes those of its first segment. A term
that they lack counts as one that no passage had, with the highest idf there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lurcher.bundle.jagged import Column, JaggedLayout, JaggedStore, JaggedWriter, map_file
from lurcher.bundle.lexical_files import LexicalSettings
from lurcher.bundle.postings import Postings
from lurcher.bundle.vocabulary import Vocabulary
from lurcher.models.lexical.bm25 import Counts

LEXICAL = "lexical"
_LAYOUT = JaggedLayout(
    (Column("frequencies.terms", np.dtype(np.uint8)),),
    "frequencies.idx",
    ("bytes", "passages"),
    np.dtype(np.uint32),
)
FREQUENCIES = f"{LEXICAL}/{_LAYOUT.index}"


@dataclass(frozen=True, slots=True, eq=False)
class Frequencies:
    """Frozen document frequencies; safe to share between threads."""

    passages: int  # of which they were counted
    vocabulary: Vocabulary
    counts: Counts  # (t,) int64

    @classmethod
    def open(cls, bundle: Path, settings: LexicalSettings) -> Frequencies:
        """Those of ``bundle``. Raises BundleCorrupt."""
        terms = settings.terms
        store = JaggedStore.open(bundle, LEXICAL, _LAYOUT, terms, settings.term_bytes)
        index = map_file(bundle, FREQUENCIES, _LAYOUT.count_type, (terms, 2))
        return cls(settings.passages, Vocabulary.of(store), index[:, 1].astype(np.int64))

    @classmethod
    def of(cls, postings: Postings) -> Frequencies:
        """Those of the passages that ``postings`` are of."""
        return cls(postings.passages, postings.vocabulary, np.diff(postings.entries.starts))

    def write(self, bundle: Path) -> list[Path]:
        """Write them into ``bundle``; the files, to be synced."""
        folder = bundle / LEXICAL
        folder.mkdir(exist_ok=True)
        files = _LAYOUT.files(folder)
        for file in files:  # of a writer that was killed
            file.unlink(missing_ok=True)
        terms = self.vocabulary.terms
        with JaggedWriter(folder, _LAYOUT) as writer:
            index = np.stack([np.diff(terms.starts), self.counts], axis=1)
            writer.append_flat([terms.columns[0]], index)
        return files

    def of_terms(self, terms: Sequence[bytes]) -> Counts:
        """How many passages had each of ``terms`` (t,), 0 for those that are not there."""
        places = np.array([self.vocabulary.place(term) for term in terms], np.int64)
        return np.where(places < 0, 0, self.counts[places] if len(self.counts) else 0)
