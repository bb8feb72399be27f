"""The lexical index, opened: the passages that have a query's terms, scored by BM25 (see ``lexical_files``).

Everything is memory-mapped. A term is found by bisection; in memory are two numbers a term, and every 64th
term. Scores are sums in double precision, term after term, rarest first, so that a passage has the same score
to the last bit however it is asked for.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lurcher.bundle.jagged import JaggedStore
from lurcher.bundle.lexical_files import VOCABULARY, LexicalSettings, postings_layout
from lurcher.bundle.passages import Rows
from lurcher.errors import BundleCorrupt, BundleVersionError, FieldError
from lurcher.models.lexical.analyser import ANALYSER_VERSION, Analyser
from lurcher.models.lexical.bm25 import (
    STEPS,
    Counts,
    Doubles,
    Floats,
    Steps,
    first_within,
    inverse_frequency,
)
from lurcher.models.lexical.languages import parse_language
from lurcher.models.lexical.names import is_name
from lurcher.order import first_places

# About 5 ms.
POSTINGS_A_QUERY = 400_000
# A name as it is written says more than its words, which other names have, too.
NAME_SHARE = 2.0
# Of a query that is one name, the name counts so many times more, and passages with its parts come after it.
ALONE_SHARE = 4.0
# One term in so many is in memory.
_SAMPLED = 64
# Looking a row up among a term's rows takes as long as adding so many postings.
_POSTINGS_A_ROW = 16
_AGAIN = "build the bundle again (`lurcher build`)"


@dataclass(frozen=True, slots=True, eq=False)
class QueryTerms:
    """The terms of a query as an index has them.

    A term that no passage has keeps its part of the sum of idf. A term that is left out, because reading it
    would take too long, counts as if the query had not had it.
    """

    terms: tuple[str, ...]  # asked for, in that order, each once
    places: Rows  # (t,) int64 of each in the vocabulary, -1 where no passage has it
    frequency: Counts  # (t,) int64, how many passages have each
    idf: Doubles  # (t,), that of a name NAME_SHARE times
    read: Rows  # (r,) int64, which of them are read: the rarest that passages have, rarest first
    left_out: int  # how many that passages have are not read
    idf_sum: float  # of all that count; 0 if there are none

    @property
    def postings(self) -> int:
        """How many postings a search reads."""
        return int(self.frequency[self.read].sum())


@dataclass(frozen=True, slots=True, eq=False)
class LexicalIndex:
    """The lexical index of an opened bundle; safe to share between threads."""

    settings: LexicalSettings
    analyser: Analyser
    vocabulary: JaggedStore
    postings: JaggedStore
    _bundle: Path
    _rows_file: str
    # For bisection, because single items of a memoryview come in a tenth of an array's time.
    _letters: memoryview
    _ends: memoryview  # where each term begins, and where the last ends
    _sampled: list[bytes]  # every 64th term

    @classmethod
    def open(
        cls, bundle: Path, segment: str, settings: LexicalSettings, passages: int
    ) -> LexicalIndex:
        """The index of ``segment`` in ``bundle``, which has ``passages`` passages.

        Raises BundleVersionError for terms that another version made, and BundleCorrupt.
        """
        if settings.analyser != ANALYSER_VERSION:
            upgrade = "upgrade lurcher, or " if settings.analyser > ANALYSER_VERSION else ""
            raise BundleVersionError(
                bundle,
                f"{segment}/{VOCABULARY.columns[0].file}: terms of analyser {settings.analyser}, this "
                f"version makes those of {ANALYSER_VERSION}: {upgrade}{_AGAIN}",
            )
        layout = postings_layout(passages)
        if settings.passages != passages:
            reason = f"is of {settings.passages} passages, the bundle has {passages}: {_AGAIN}"
            raise BundleCorrupt(bundle, f"{segment}/{layout.index}", reason)
        terms = settings.terms
        try:
            vocabulary = JaggedStore.open(bundle, segment, VOCABULARY, terms, settings.term_bytes)
            postings = JaggedStore.open(bundle, segment, layout, terms, settings.postings)
        except BundleCorrupt as error:
            reason = error.reason.removeprefix(f"{error.file}: ")
            raise BundleCorrupt(bundle, error.file, f"{reason}: {_AGAIN}") from error
        try:
            analyser = Analyser(parse_language(settings.language))
        except FieldError as error:
            reason = (
                f"manifest.json: lexical.language: {error.reason}: upgrade lurcher, or {_AGAIN}"
            )
            raise BundleVersionError(bundle, reason) from error
        letters, ends = vocabulary.columns[0].data, vocabulary.starts.data
        sampled = [
            bytes(letters[ends[place] : ends[place + 1]]) for place in range(0, terms, _SAMPLED)
        ]
        rows = f"{segment}/{layout.columns[0].file}"
        return cls(settings, analyser, vocabulary, postings, bundle, rows, letters, ends, sampled)

    @property
    def count(self) -> int:
        """How many passages it is of."""
        return self.settings.passages

    def look_up(
        self, terms: Sequence[str], alone: bool = False, limit: int = POSTINGS_A_QUERY
    ) -> QueryTerms:
        """``terms`` as the index has them; those that occur twice count once.

        ``alone`` says that the query is one name or word: then its longest term is the whole of it, and all
        others are parts. The rarest terms are read, as many as have together at most ``limit`` postings, and
        always one.
        """
        asked = tuple(dict.fromkeys(terms))
        places = np.array([self._place(term) for term in asked], np.int64)
        starts = self.postings.starts
        frequency = np.where(places < 0, 0, starts[places + 1] - starts[places])
        held = frequency > 0
        idf = inverse_frequency(frequency, self.count)
        idf *= np.where([is_name(term) for term in asked], NAME_SHARE, 1.0)
        if alone and len(asked) > 1:
            *_, second, longest = sorted(range(len(asked)), key=lambda i: len(asked[i]))
            # Of a script that is compared by pairs no term is the whole.
            if held[longest] and len(asked[longest]) > len(asked[second]):
                idf[longest] *= ALONE_SHARE
        # Of equal frequency by place, so that the order of words in a query does not count.
        rarest = np.lexsort((places, frequency))
        rarest = rarest[held[rarest]]
        read = rarest[: first_within(frequency[rarest], limit)]
        counted = [*idf[~held], *idf[read]]
        return QueryTerms(
            asked, places, frequency, idf, read, len(rarest) - len(read), math.fsum(counted),
        )  # fmt: skip

    def top(self, query: QueryTerms, k: int, allow: Rows | None = None) -> tuple[Floats, Rows]:
        """Scores (n,) and rows (n,) of the best ``k`` passages at most, best first, then by row.

        Passages without any of the terms are not among them. ``allow`` are the rows, ascending, that may be;
        None: all. Raises BundleCorrupt.
        """
        if allow is not None and len(allow) * len(query.read) * _POSTINGS_A_ROW < query.postings:
            sums = self._sums_of(query, allow)
        else:
            sums = self._sums(query)
            sums = sums if allow is None else sums[allow]
        found = np.flatnonzero(sums > 0)
        scores = _scores(sums[found], query)
        best = first_places(scores, k)
        places = found[best]
        return scores[best], places if allow is None else allow[places]

    def scores(self, query: QueryTerms, rows: Rows) -> Floats:
        """The score of each of ``rows`` (n,), 0 for those without any of the terms."""
        return _scores(self._sums_of(query, rows), query)

    def _sums_of(self, query: QueryTerms, rows: Rows) -> Doubles:
        """The sum of each of ``rows`` (n,), the same as ``_sums`` has."""
        sums = np.zeros(len(rows))
        for place, share in self._shares(query):
            held, steps = self._rows_and_steps(place)
            found = np.searchsorted(held, rows.astype(held.dtype)).clip(max=len(held) - 1)
            sums += np.where(held[found] == rows, steps[found] * share, 0.0)
        return sums

    def rows_with_all(self, terms: Sequence[str]) -> Rows:
        """The rows, ascending, of all passages that have every one of ``terms``; none if there is no term."""
        places = [self._place(term) for term in dict.fromkeys(terms)]
        if not places or min(places) < 0:
            return np.zeros(0, np.int64)
        rarest, *others = sorted((self._rows_and_steps(place)[0] for place in places), key=len)
        rows = rarest
        for held in others:
            found = np.searchsorted(held, rows).clip(max=len(held) - 1)
            rows = rows[held[found] == rows]
        return rows.astype(np.int64)

    def _place(self, word: str) -> int:
        """The place of the term ``word`` in the vocabulary, -1 if it is not there."""
        term = word.encode(errors="surrogatepass")  # half a character is in no vocabulary
        block = bisect_left(self._sampled, term)
        if block < len(self._sampled) and self._sampled[block] == term:
            return block * _SAMPLED
        first, end = max(0, block - 1) * _SAMPLED, min(block * _SAMPLED, self.settings.terms)
        place = bisect_left(range(end), term, first, key=self._term)
        return place if place < end and self._term(place) == term else -1

    def _term(self, place: int) -> bytes:
        return bytes(self._letters[self._ends[place] : self._ends[place + 1]])

    def _rows_and_steps(self, place: int) -> tuple[Rows, Steps]:
        """The rows of the term at ``place``, unsigned, and the steps of each."""
        first, end = self.postings.starts[place : place + 2].tolist()
        rows, steps = self.postings.columns
        return rows[first:end], steps[first:end]

    def _shares(self, query: QueryTerms) -> list[tuple[int, float]]:
        """Place and idf a step of each term that is read, in their order."""
        idf = query.idf[query.read] / STEPS
        return list(zip(query.places[query.read].tolist(), idf.tolist(), strict=True))

    def _sums(self, query: QueryTerms) -> Doubles:
        """The sum of each passage, (count,)."""
        rows, parts = np.empty(query.postings, np.int64), np.empty(query.postings)
        first = 0
        for place, share in self._shares(query):
            held, steps = self._rows_and_steps(place)
            end = first + len(held)
            rows[first:end] = held
            np.multiply(steps, share, out=parts[first:end])
            first = end
        # Adds them up in this order.
        sums = np.bincount(rows, parts, self.count).astype(np.float64, copy=False)
        if len(sums) > self.count:
            reason = f"names row {len(sums) - 1} of {self.count} passages: {_AGAIN}"
            raise BundleCorrupt(self._bundle, self._rows_file, reason)
        return sums


def _scores(sums: Doubles, query: QueryTerms) -> Floats:
    return (sums / query.idf_sum if query.idf_sum else sums).astype(np.float32)
