"""The lexical index, opened: the passages that have a query's terms, scored by BM25 (see ``lexical_files``).

Each segment has its own postings, and what a term counts is the same in all of them. Scores are sums in
double precision, term after term, rarest first, so that a passage has the same score to the last bit however
it is asked for and in whatever segment it lies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lurcher.bundle.frequencies import Frequencies
from lurcher.bundle.lexical_files import VOCABULARY, LexicalSettings
from lurcher.bundle.passages import Rows
from lurcher.bundle.postings import AGAIN, Postings
from lurcher.bundle.row_space import Mask, RowSpace
from lurcher.bundle.segmented.postings import JoinedPostings
from lurcher.bundle.vocabulary import encoded
from lurcher.errors import BundleVersionError, FieldError
from lurcher.models.lexical.analyser import ANALYSER_VERSION, Analyser
from lurcher.models.lexical.bm25 import (
    STEPS,
    Counts,
    Doubles,
    Floats,
    first_within,
    inverse_frequency,
)
from lurcher.models.lexical.languages import parse_language
from lurcher.models.lexical.names import is_name
from lurcher.order import first_places

# About 5 ms.
POSTINGS_A_QUERY = 400_000
# Up to so many the scores of given rows are taken from those of all.
_FEW_POSTINGS = 4_096
# A name as it is written says more than its words, which other names have, too.
NAME_SHARE = 2.0
# Of a query that is one name, the name counts so many times more, and passages with its parts come after it.
ALONE_SHARE = 4.0
# A term that so few passages have is a name; how many have it is exact then.
FEW_PASSAGES = 3
# Of a term's postings so many tell that it has more than these.
_LOOKED_AT = 64
# Looking a row up among a term's rows takes as long as adding so many postings.
_POSTINGS_A_ROW = 16


@dataclass(frozen=True, slots=True, eq=False)
class QueryTerms:
    """The terms of a query as an index has them.

    A term that no passage has keeps its part of the sum of idf. A term that is left out, because reading it
    would take too long, counts as if the query had not had it.
    """

    terms: tuple[str, ...]  # asked for, in that order, each once
    places: Rows  # (s, t) int64 of each in each segment's vocabulary, -1 where no passage has it
    frequency: Counts  # (t,) int64, how many passages have each; deleted ones may count where there are many
    idf: Doubles  # (t,), that of a name NAME_SHARE times
    read: Rows  # (r,) int64, which of them are read: the rarest that passages have, rarest first
    left_out: int  # how many that passages have are not read
    idf_sum: float  # of all that count; 0 if there are none
    here: Counts  # (t,) int64, how many passages of this index have each, which may be a part of the whole

    @property
    def postings(self) -> int:
        """How many postings a search reads."""
        return int(self.frequency[self.read].sum())


@dataclass(frozen=True, slots=True, eq=False)
class LexicalIndex:
    """The lexical index of an opened bundle; safe to share between threads."""

    settings: LexicalSettings
    analyser: Analyser
    frequencies: Frequencies | None  # None: those of the first segment, deleted passages included
    parts: tuple[Postings, ...]  # of each segment
    space: RowSpace
    _deleted: tuple[Mask | None, ...]  # (n,) of each segment, None: none of it
    _deletions: tuple[int, ...]  # how many of each
    _gone: Rows  # all rows that are deleted, ascending
    _joined: JoinedPostings
    # Whether the passages are part of those that the frequencies were counted of: then these say which terms
    # passages have, and in how many, so that a query is the same in every part, but for terms written since.
    is_part: bool = False
    # Of a part: how many passages of the whole have each term now; None: as many as the frequencies say.
    held: Frequencies | None = None

    @classmethod
    def open(
        cls, bundle: Path, segment: str, settings: LexicalSettings, passages: int
    ) -> LexicalIndex:
        """The index of ``segment`` alone in ``bundle``, which has ``passages`` passages.

        Raises BundleVersionError for terms that another version made, and BundleCorrupt.
        """
        analyser = load_analyser(bundle, segment, settings)
        part = Postings.open(bundle, segment, settings, passages)
        return cls.of(settings, analyser, None, [part], RowSpace.of([passages], [None]))

    @classmethod
    def of(
        cls, settings: LexicalSettings, analyser: Analyser, frequencies: Frequencies | None,
        parts: Sequence[Postings], space: RowSpace,
    ) -> LexicalIndex:  # fmt: skip
        """The index of segments that have the postings ``parts`` each, scored by ``frequencies``."""
        live = space.live
        deleted = [None if live is None else ~live[space.among(i)] for i in range(len(parts))]
        some = [None if one is None or not one.any() else one for one in deleted]
        counts = (0 if one is None else int(np.count_nonzero(one)) for one in some)
        gone = np.zeros(0, np.int64) if live is None else np.flatnonzero(~live)
        joined = JoinedPostings(parts, space.starts.tolist())
        return cls(
            settings, analyser, frequencies, tuple(parts), space, tuple(some), tuple(counts), gone,
            joined,
        )  # fmt: skip

    @property
    def count(self) -> int:
        """How many rows it is of."""
        return self.space.count

    def look_up(
        self, terms: Sequence[str], alone: bool = False, limit: int = POSTINGS_A_QUERY
    ) -> QueryTerms:
        """``terms`` as the index has them; those that occur twice count once.

        ``alone`` says that the query is one name or word: then its longest term is the whole of it, and all
        others are parts. The rarest terms are read, as many as have together at most ``limit`` postings, and
        always one.
        """
        asked = tuple(dict.fromkeys(terms))
        spelt = [encoded(term) for term in asked]
        by_part = [part.vocabulary.places(spelt) for part in self.parts]
        places = np.array(by_part, np.int64).reshape(len(self.parts), len(asked))
        in_each = self._joined.held(places)
        if self.frequencies is None:
            counted, passages = in_each[0], self.parts[0].passages
        else:
            counted, passages = self.frequencies.of_terms(spelt), self.frequencies.passages
        frequency = here = self._living(places, in_each)
        if self.is_part:  # its own count where the whole's are older than what was written
            whole = counted if self.held is None else self.held.of_terms(spelt)
            frequency = np.maximum(whole, here)
        held = frequency > 0
        idf = inverse_frequency(counted, passages)
        idf *= np.where([is_name(term) for term in asked], NAME_SHARE, 1.0)
        if alone and len(asked) > 1:
            *_, second, longest = sorted(range(len(asked)), key=lambda i: len(asked[i]))
            # Of a script that is compared by pairs no term is the whole.
            if held[longest] and len(asked[longest]) > len(asked[second]):
                idf[longest] *= ALONE_SHARE
        # Of equal frequency by their bytes, so that the order of words in a query does not count.
        ranks = np.empty(len(asked), np.int64)
        ranks[sorted(range(len(asked)), key=spelt.__getitem__)] = np.arange(len(asked))
        rarest = np.lexsort((ranks, counted))
        rarest = rarest[held[rarest]]
        read = rarest[: first_within(frequency[rarest], limit)]
        counting = [*idf[~held], *idf[read]]
        return QueryTerms(
            asked, places, frequency, idf, read, len(rarest) - len(read), math.fsum(counting), here,
        )  # fmt: skip

    def _living(self, places: Rows, held: Counts) -> Counts:
        """How many passages have each of the terms at ``places`` (s, t); ``held`` (s, t) in each segment.

        Deleted passages do not count where few others are left; to leave them out everywhere would take as
        long as the search.
        """
        counts: Counts = held.sum(axis=0)
        if self.space.live is None:
            return counts
        for term in np.flatnonzero(counts).tolist():
            most = int(held[:, term].argmax())
            if held[most, term] - self._deletions[most] > FEW_PASSAGES:
                continue
            if self._left(most, int(places[most, term]), _LOOKED_AT) <= FEW_PASSAGES:
                some = np.flatnonzero(held[:, term]).tolist()
                counts[term] = sum(self._left(part, int(places[part, term])) for part in some)
        return counts

    def _left(self, number: int, place: int, most: int | None = None) -> int:
        """How many of the first ``most`` passages of a segment with a term are not deleted."""
        rows, deleted = self.parts[number].of_term(place)[0][:most], self._deleted[number]
        return len(rows) - (0 if deleted is None else int(np.count_nonzero(deleted[rows])))

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

    def rows_with_all(self, terms: Sequence[str]) -> Rows:
        """The rows, ascending, of all passages that have every one of ``terms``; none if there is no term."""
        asked = [encoded(term) for term in dict.fromkeys(terms)]
        if not asked:
            return np.zeros(0, np.int64)
        found = [
            part.rows_with_all([part.vocabulary.place(term) for term in asked]) + first
            for part, first in zip(self.parts, self.space.starts.tolist(), strict=False)
        ]
        return self.space.alive(np.concatenate(found))

    def _sums(self, query: QueryTerms) -> Doubles:
        """The sum of each row, (count,); 0 for what is deleted."""
        shares = self._shares(query)
        sums = self._joined.sums(query.places[:, query.read], shares, self.count)
        if len(self._gone):
            sums[self._gone] = 0
        return sums

    def _sums_of(self, query: QueryTerms, rows: Rows) -> Doubles:
        """The sum of each of ``rows`` (n,), none of them deleted, the same as ``_sums`` has."""
        shares = self._shares(query)
        if len(self.parts) > 1 and query.postings <= _FEW_POSTINGS:
            return self._sums(query)[rows]
        if len(self.parts) == 1:
            return self.parts[0].sums_of(query.places[0, query.read], shares, rows)
        sums = np.zeros(len(rows))
        for number, places, local in self.space.split(rows):
            terms = query.places[number, query.read]
            sums[places] = self.parts[number].sums_of(terms, shares, local)
        return sums

    def _shares(self, query: QueryTerms) -> Doubles:
        """The idf a step of each term that is read, in their order, (r,)."""
        shares: Doubles = query.idf[query.read] / STEPS
        return shares


def load_analyser(bundle: Path, segment: str, settings: LexicalSettings) -> Analyser:
    """What made the terms of ``segment`` in ``bundle``. Raises BundleVersionError if another version did."""
    if settings.analyser != ANALYSER_VERSION:
        upgrade = "upgrade lurcher, or " if settings.analyser > ANALYSER_VERSION else ""
        raise BundleVersionError(
            bundle,
            f"{segment}/{VOCABULARY.columns[0].file}: terms of analyser {settings.analyser}, this "
            f"version makes those of {ANALYSER_VERSION}: {upgrade}{AGAIN}",
        )
    try:
        return Analyser(parse_language(settings.language))
    except FieldError as error:
        reason = f"manifest.json: lexical.language: {error.reason}: upgrade lurcher, or {AGAIN}"
        raise BundleVersionError(bundle, reason) from error


def _scores(sums: Doubles, query: QueryTerms) -> Floats:
    return (sums / query.idf_sum if query.idf_sum else sums).astype(np.float32)
