"""Which passages of a cluster have nearly the same text, whatever shards they lie in.

Each is known by the row in the whole corpus of the first passage with nearly its text, or by ``ALONE`` where
no other has it. So a shard can tell which of its own stand for the others there, and a coordinator, which of
those stand for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.chunks import chunks
from lurcher.bundle.copies import Keys
from lurcher.bundle.passages import Rows
from lurcher.bundle.row_space import RowSpace
from lurcher.bundle.segmented.copies import Copies, SegmentCopies
from lurcher.bundle.segmented.passages import join_passages
from lurcher.cluster.row_numbers import RowNumbers
from lurcher.index_builder.near_duplicates import first_alike

ALONE = -1
# In the place of the first of a passage that the build before had not.
_NEW = -2


def firsts_of(within: Rows | None, count: int) -> Rows:
    """The firsts (n,) of so many passages, of which ``within`` (n,) says it as ``Bundle.copies`` does."""
    if within is None:
        return np.full(count, ALONE)
    firsts: Rows = np.where(np.bincount(within, minlength=count)[within] > 1, within, ALONE)
    return firsts


class BuiltCopies:
    """Which passages of a shard are copies of others there, as the whole corpus has them.

    What counts as a copy depends on what came before; of the shard's texts alone others would be found.
    """

    def __init__(self, numbers: RowNumbers) -> None:
        """``numbers`` are those of the shard's rows."""
        self._numbers = numbers
        self._part: SegmentCopies | None = None

    def put_into(self, bundle: Bundle) -> Bundle:
        """``bundle``, a snapshot of the shard, in which passages of the build are such copies."""
        if not self._numbers.built_in(bundle):
            return bundle
        first, *others = bundle.alike.parts
        if self._part is None:
            self._part = replace(first, within=within(self._numbers.firsts))
        return replace(bundle, alike=replace(bundle.alike, parts=(self._part, *others)))


def firsts_in(bundle: Bundle, numbers: RowNumbers) -> Rows:
    """The firsts (n,) of the rows of ``bundle``, a snapshot of a shard with these ``numbers``.

    Of passages that were written since the build only copies in the same shard are known. One that is
    deleted is a copy of none.
    """
    own = np.arange(bundle.rows.count)
    first = own if bundle.copies is None else bundle.copies
    built = np.full(len(own), ALONE)
    there = numbers.built_in(bundle)
    built[:there] = numbers.firsts[:there]
    several = np.bincount(first, minlength=len(own))[first] > 1
    known: Rows = np.where(
        (built[first] == ALONE) & several, numbers.of(bundle, first), built[first]
    )
    live = bundle.rows.live
    return known if live is None else np.where(live, known, ALONE)


class Alike:
    """Which passages of one snapshot of a shard have nearly the same text as any of the cluster."""

    def __init__(self, firsts: Rows) -> None:
        """``firsts`` (n,) are those of its rows."""
        self.firsts = firsts
        self._rows = np.argsort(firsts, kind="stable")
        self._sorted = firsts[self._rows]

    def of(self, firsts: Rows) -> tuple[Rows, Rows]:
        """The rows (k,) of the shard that have any of ``firsts`` (g,), and the places (k,) of these."""
        starts = np.searchsorted(self._sorted, firsts, "left")
        counts = np.searchsorted(self._sorted, firsts, "right") - starts
        places = np.repeat(np.arange(len(firsts)), counts)
        nth = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
        return self._rows[starts[places] + nth], places


def within(firsts: Rows) -> Rows | None:
    """The first of these passages with nearly the same text, (n,), by their ``firsts`` (n,).

    None: no two of them are alike.
    """
    found = np.arange(len(firsts))
    several = np.flatnonzero(firsts != ALONE)
    _, places, groups = np.unique(firsts[several], return_index=True, return_inverse=True)
    found[several] = several[places][groups]
    return found if len(places) < len(several) else None


@dataclass(frozen=True, slots=True, eq=False)
class Changed:
    """A shard of one segment, after it was written to.

    rows    (n,) of its passages in the whole corpus; those that are new follow the others of all shards
    firsts  (k,) of its first passages, which the build before had, as they were then
    """

    bundle: Bundle
    rows: Rows
    firsts: Rows


def firsts_after(shards: Sequence[Changed]) -> list[Rows]:
    """The firsts (n,) of the passages of each of ``shards``, which were written to.

    As in one bundle before it is compacted: a new passage is a copy of one that was there if its words are
    the same, and of another new one if they are nearly.
    """
    rows = np.concatenate([one.rows for one in shards])
    order = np.argsort(rows)
    firsts = np.concatenate([_padded(one.firsts, len(one.rows)) for one in shards])[order]
    keys = np.concatenate([_keys(one.bundle) for one in shards])[order]
    kept = int(np.count_nonzero(firsts != _NEW))
    added = len(rows) - kept
    parts = (
        SegmentCopies(kept, within(firsts[:kept]), keys[:kept]),
        SegmentCopies(added, first_alike(_texts(shards, order[kept:])), keys[kept:]),
    )
    copies = Copies(RowSpace.of([kept, added], [None, None]), parts)
    joined = firsts_of(copies.first, len(rows))
    found = np.empty(len(rows), np.int64)
    found[order] = np.where(joined == ALONE, ALONE, rows[order][joined])
    return np.split(found, np.cumsum([len(one.rows) for one in shards])[:-1])


def _padded(firsts: Rows, count: int) -> Rows:
    return np.pad(firsts, (0, count - len(firsts)), constant_values=_NEW)


def _keys(bundle: Bundle) -> Keys:
    """The keys (n,) of the words of the passages of ``bundle``, which is of one segment."""
    (segment,) = bundle.segments
    keys = segment.copies.keys
    assert keys is not None  # noqa: S101 (whatever makes shards writes them)
    return keys


def _texts(shards: Sequence[Changed], places: Rows) -> Iterator[str]:
    """The texts of the passages at ``places`` (k,) of all ``shards``, one after the other."""
    space = RowSpace.of([len(one.rows) for one in shards], [None] * len(shards))
    passages = join_passages(space, [one.bundle.segments[0].passages for one in shards])
    for some in chunks(len(places)):
        yield from (one.text for one in passages.get(places[some].tolist()))
