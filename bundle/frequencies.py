"""How many passages had each term when they were last counted: frozen for a collection.

::

    lexical/000007/      since generation 7
      frequencies.terms  the terms in UTF-8, one after the other, in the order of their bytes
      frequencies.idx    per term, how many bytes it has, and how many passages had it

With these a passage scores the same in whatever segment it lies and whatever is added beside it. A bundle
without these files, such as any that was built and never compacted, takes those of its first segment. A term
that they lack counts as one that no passage had, with the highest idf there is. Of a term that no passage has
any more, because all that had it were deleted and compacted away, a hash stands there after the byte 255, so
that it still counts and cannot be read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
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


def frequencies_folder(files: Iterable[str]) -> str | None:
    """The folder of the frequencies that a bundle of these ``files`` has; None if it has none."""
    for name in files:
        folder, _, file = name.rpartition("/")
        if file == _LAYOUT.index and folder.startswith(f"{LEXICAL}/"):
            return folder
    return None


@dataclass(frozen=True, slots=True, eq=False)
class Frequencies:
    """Frozen document frequencies; safe to share between threads."""

    passages: int  # of which they were counted
    vocabulary: Vocabulary
    counts: Counts  # (t,) int64

    @classmethod
    def open(cls, bundle: Path, folder: str, settings: LexicalSettings) -> Frequencies:
        """Those in ``folder`` of ``bundle``. Raises BundleCorrupt."""
        terms = settings.terms
        store = JaggedStore.open(bundle, folder, _LAYOUT, terms, settings.term_bytes)
        index = map_file(bundle, f"{folder}/{_LAYOUT.index}", _LAYOUT.count_type, (terms, 2))
        return cls(settings.passages, Vocabulary.of(store), index[:, 1].astype(np.int64))

    @classmethod
    def of(cls, postings: Postings) -> Frequencies:
        """Those of the passages that ``postings`` are of."""
        return cls(postings.passages, postings.vocabulary, np.diff(postings.entries.starts))

    @classmethod
    def summed(cls, parts: Sequence[Frequencies]) -> Frequencies:
        """Those of the passages of all ``parts`` together."""
        counts = Counter[bytes]()
        for part in parts:
            counts.update(dict(zip(part.vocabulary, part.counts.tolist(), strict=True)))
        terms = sorted(counts)
        letters = np.frombuffer(b"".join(terms), np.uint8)
        lengths = np.array([len(term) for term in terms], np.int64).reshape(-1, 1)
        store = JaggedStore.of([letters], lengths)
        passages = sum(part.passages for part in parts)
        held = np.array([counts[term] for term in terms], np.int64)
        return cls(passages, Vocabulary.of(store), held)

    @property
    def term_bytes(self) -> int:
        """How many bytes all terms have."""
        return len(self.vocabulary.terms.columns[0])

    def hiding(self, live: Sequence[Vocabulary]) -> Frequencies:
        """These, with a hash in the place of each term that is in none of ``live``."""
        terms = [
            term
            if term[:1] == _HASHED or any(one.place(term) >= 0 for one in live)
            else _hashed(term)
            for term in self.vocabulary
        ]
        order = sorted(range(len(terms)), key=terms.__getitem__)
        letters = np.frombuffer(b"".join(terms[i] for i in order), np.uint8)
        lengths = np.array([len(terms[i]) for i in order], np.int64).reshape(-1, 1)
        store = JaggedStore.of([letters], lengths)
        return Frequencies(self.passages, Vocabulary.of(store), self.counts[order])

    def write(self, bundle: Path, folder_name: str) -> list[Path]:
        """Write them into the folder of ``bundle``; the files, to be synced."""
        folder = bundle / folder_name
        folder.mkdir(parents=True, exist_ok=True)
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
        places = np.array([self._place(term) for term in terms], np.int64)
        return np.where(places < 0, 0, self.counts[places] if len(self.counts) else 0)

    def _place(self, term: bytes) -> int:
        place = self.vocabulary.place(term)
        return place if place >= 0 else self.vocabulary.place(_hashed(term))


# What no term in UTF-8 begins with.
_HASHED = b"\xff"


def _hashed(term: bytes) -> bytes:
    """What stands for a term that cannot be read any more."""
    return _HASHED + blake2b(term, digest_size=8).digest()
