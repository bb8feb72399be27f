"""The postings of one segment, opened: which of its passages have each term (see ``lexical_files``).

Everything is memory-mapped, or made of arrays in memory. A term is found by bisection; in memory are two
numbers a term, and every 64th term.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lurcher.bundle.jagged import JaggedStore, places_of
from lurcher.bundle.lexical_files import VOCABULARY, LexicalSettings, postings_layout
from lurcher.bundle.passages import Rows
from lurcher.bundle.vocabulary import Vocabulary
from lurcher.errors import BundleCorrupt
from lurcher.models.lexical.bm25 import Counts, Doubles, Steps

# Up to so many a search reads them all at once instead of term by term.
_FEW_POSTINGS = 4_096
AGAIN = "build the bundle again (`lurcher build`)"


@dataclass(frozen=True, slots=True, eq=False)
class Postings:
    """Rows and steps of each term of a segment; safe to share between threads."""

    passages: int
    vocabulary: Vocabulary
    entries: JaggedStore
    bundle: Path  # and the file of the rows, for errors
    rows_file: str

    @classmethod
    def open(cls, bundle: Path, segment: str, settings: LexicalSettings, passages: int) -> Postings:
        """Those of ``segment`` in ``bundle``, which has ``passages`` passages. Raises BundleCorrupt."""
        layout, terms = postings_layout(passages), settings.terms
        if settings.passages != passages:
            reason = f"is of {settings.passages} passages, the bundle has {passages}: {AGAIN}"
            raise BundleCorrupt(bundle, f"{segment}/{layout.index}", reason)
        try:
            vocabulary = JaggedStore.open(bundle, segment, VOCABULARY, terms, settings.term_bytes)
            entries = JaggedStore.open(bundle, segment, layout, terms, settings.postings)
        except BundleCorrupt as error:
            reason = error.reason.removeprefix(f"{error.file}: ")
            raise BundleCorrupt(bundle, error.file, f"{reason}: {AGAIN}") from error
        rows = f"{segment}/{layout.columns[0].file}"
        return cls(passages, Vocabulary.of(vocabulary), entries, bundle, rows)

    @classmethod
    def of(
        cls, passages: int, terms: Sequence[bytes], counts: Counts, rows: Rows, steps: Steps
    ) -> Postings:
        """Postings in memory of so many ``passages``: what ``LexicalWriter.append`` takes of all terms."""
        letters = np.frombuffer(b"".join(terms), np.uint8)
        lengths = np.array([len(term) for term in terms], np.int64).reshape(-1, 1)
        layout = postings_layout(passages)
        columns = rows.astype(layout.columns[0].dtype), steps
        return cls(
            passages, Vocabulary.of(JaggedStore.of([letters], lengths)),
            JaggedStore.of(columns, counts.reshape(-1, 1)), Path(), "memory",
        )  # fmt: skip

    def frequency(self, places: Rows) -> Counts:
        """How many passages have each of the terms at ``places`` (t,) int64; none have one at -1."""
        starts = self.entries.starts
        return np.where(places < 0, 0, starts[places + 1] - starts[places])

    def of_term(self, place: int) -> tuple[Rows, Steps]:
        """The rows of the term at ``place``, unsigned, and the steps of each."""
        first, end = self.entries.starts[place : place + 2].tolist()
        rows, steps = self.entries.columns
        return rows[first:end], steps[first:end]

    def sums(self, places: Rows, shares: Doubles) -> Doubles:
        """For each passage the sum of steps times ``shares`` (t,) of the terms at ``places`` (t,).

        (passages,), added up in the order of the terms. Raises BundleCorrupt.
        """
        some = places >= 0
        places, shares = places[some], shares[some]
        size = int(self.frequency(places).sum())
        if size <= _FEW_POSTINGS:
            found, counts = places_of(self.entries.starts, places)
            rows, steps = (column[found] for column in self.entries.columns)
            return self._added(rows, steps * np.repeat(shares, counts))
        flat, parts = np.empty(size, np.int64), np.empty(size)
        first = 0
        for place, share in zip(places.tolist(), shares.tolist(), strict=True):
            held, steps = self.of_term(place)
            end = first + len(held)
            flat[first:end] = held
            np.multiply(steps, share, out=parts[first:end])
            first = end
        return self._added(flat, parts)

    def _added(self, rows: Rows, parts: Doubles) -> Doubles:
        """The sum of ``parts`` (n,) of each passage, (passages,), in their order."""
        sums = np.bincount(rows, parts, self.passages).astype(np.float64, copy=False)
        if len(sums) > self.passages:
            raise self.names_no_passage(len(sums) - 1)
        return sums

    def names_no_passage(self, row: int) -> BundleCorrupt:
        """The error of postings that name a row that is none."""
        reason = f"names row {row} of {self.passages} passages: {AGAIN}"
        return BundleCorrupt(self.bundle, self.rows_file, reason)

    def sums_of(self, places: Rows, shares: Doubles, rows: Rows) -> Doubles:
        """What ``sums`` has of each of ``rows`` (n,)."""
        some = places >= 0
        places, shares = places[some], shares[some]
        if int(self.frequency(places).sum()) <= _FEW_POSTINGS:
            return self.sums(places, shares)[rows]
        sums = np.zeros(len(rows))
        for place, share in zip(places.tolist(), shares.tolist(), strict=True):
            held, steps = self.of_term(place)
            found = np.minimum(np.searchsorted(held, rows.astype(held.dtype)), len(held) - 1)
            sums += np.where(held[found] == rows, steps[found] * share, 0.0)
        return sums

    def rows_with_all(self, places: Sequence[int]) -> Rows:
        """The rows, ascending, of all passages that have every term at ``places``, which is not empty."""
        if min(places) < 0:
            return np.zeros(0, np.int64)
        rarest, *others = sorted((self.of_term(place)[0] for place in places), key=len)
        rows = rarest
        for held in others:
            found = np.minimum(np.searchsorted(held, rows), len(held) - 1)
            rows = rows[held[found] == rows]
        return rows.astype(np.int64)
