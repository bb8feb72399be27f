"""The postings of several segments, added up in one pass.

To look into a segment costs some operations on arrays, whatever it has. So small segments are put one after
the other when a search first needs them, and all of them cost what one does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lurcher.bundle.jagged import places_of
from lurcher.bundle.passages import Rows
from lurcher.bundle.postings import Postings
from lurcher.models.lexical.bm25 import Counts, Doubles, Steps

# A segment of so many postings is a small one, of some 500 passages; to copy it takes a tenth of a
# millisecond.
SMALL = 32_768


class JoinedPostings:
    """Postings of segments with the rows of all; safe to share between threads.

    Rows of each of ``parts`` begin with that of ``firsts``.
    """

    def __init__(
        self, parts: Sequence[Postings], firsts: Sequence[int], small: int = SMALL
    ) -> None:
        self._parts, self._firsts = tuple(parts), tuple(firsts[: len(parts)])
        sizes = [len(part.entries.columns[0]) for part in parts]
        several = len(parts) > 1
        self._small = [i for i, size in enumerate(sizes) if several and size <= small]
        self._large = [i for i in range(len(parts)) if i not in set(self._small)]

    @cached_property
    def _flat(self) -> tuple[Rows, Steps, Rows, npt.NDArray[np.int64]]:
        """Of the small ones rows and steps, (n,), where each term begins, and each one's first term.

        Raises BundleCorrupt.
        """
        rows, steps, starts, bases = [], [], [np.zeros(1, np.int64)], [0]
        entries = 0
        for number in self._small:
            part = self._parts[number]
            own, weights = part.entries.columns
            if len(own) and int(own.max()) >= part.passages:
                raise part.names_no_passage(int(own.max()))
            rows.append(own.astype(np.int64) + self._firsts[number])
            steps.append(weights)
            starts.append(part.entries.starts[1:] + entries)
            entries += len(own)
            bases.append(bases[-1] + len(part.entries.starts) - 1)
        found = np.concatenate(steps)
        return np.concatenate(rows), found, np.concatenate(starts), np.array(bases[:-1], np.int64)

    def held(self, places: Rows) -> Counts:
        """How many passages of each segment have each of the terms at ``places`` (s, t), (s, t)."""
        counts = np.zeros(places.shape, np.int64)
        for number in self._large:
            counts[number] = self._parts[number].frequency(places[number])
        if self._small:
            _, _, starts, bases = self._flat
            own = places[self._small]
            at = own + bases[:, None]
            counts[self._small] = np.where(own < 0, 0, starts[at + 1] - starts[at])
        return counts

    def sums(self, places: Rows, shares: Doubles, count: int) -> Doubles:
        """For each row the sum of steps times ``shares`` (t,) of the terms at ``places`` (s, t), (count,).

        A row's terms are added up in their order, as ``Postings.sums`` does. Raises BundleCorrupt.
        """
        if len(self._parts) == 1:
            return self._parts[0].sums(places[0], shares)
        sums: Doubles = np.zeros(count)
        if self._small:
            rows, steps, starts, bases = self._flat
            own = places[self._small]
            there = own >= 0
            found, counts = places_of(starts, (own + bases[:, None])[there])
            each = np.broadcast_to(shares, own.shape)[there]
            added = np.bincount(rows[found], steps[found] * np.repeat(each, counts), count)
            sums = added.astype(np.float64, copy=False)
        for number in self._large:
            part, first = self._parts[number], self._firsts[number]
            sums[first : first + part.passages] = part.sums(places[number], shares)
        return sums
