"""Finding candidates over shards where texts are folded: of all copies one is found, as in one bundle.

Each shard looks among passages of which one stands for its copies there. Of what it finds, all shards are
asked what stands for their own copies. The first of these stands for all; the others are left out before
anything is merged, and where that leaves too few of a shard, more are looked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import BEYOND
from lurcher.cluster.asking import Asking, Search
from lurcher.cluster.copies import ALONE
from lurcher.cluster.messages import Fold, Folded, Found
from lurcher.errors import ShardsMissing

# More candidates than the plan says, so that a few copies need no second search; and so many times more,
# where they leave too few.
_SPARE, _DEEPER = 16, 4

_Parts = Mapping[int, Found]  # by number of the shard


def find(asking: Asking, searches: Sequence[Search]) -> list[_Parts]:
    """What shards find for each of ``searches`` by its plan; of copies one, where texts are folded."""
    found: dict[int, _Parts] = {}
    depths = {
        place: one.state.plan.retrieval_depth + _SPARE * one.asked.query.fold
        for place, one in enumerate(searches)
    }
    while depths:
        some = [searches[place] for place in depths]
        works = [
            asking.to_find(one, replace(one.state.plan, retrieval_depth=depth))
            for one, depth in zip(some, depths.values(), strict=True)
        ]
        parts = asking.ask(some, works, Found)
        left = _folded(asking, some, parts)
        found |= zip(depths, left, strict=True)
        depths = {
            place: depth * _DEEPER
            for (place, depth), one, before, after in zip(
                depths.items(), some, parts, left, strict=True
            )
            if one.error is None and _too_few(one, depth, before, after)
        }
    return [found[place] for place in range(len(searches))]


def _too_few(search: Search, depth: int, before: _Parts, after: _Parts) -> bool:
    """Whether a shard that found all that it was asked for, ``depth``, has fewer left than are wanted."""
    wanted = search.state.plan.retrieval_depth + BEYOND
    return any(
        len(before[shard].found[name]) >= depth + BEYOND and len(rows) < wanted
        for shard, part in after.items()
        for name, rows in part.found.items()
    )


def _folded(asking: Asking, searches: Sequence[Search], parts: Sequence[_Parts]) -> list[_Parts]:
    """The ``parts`` of each of ``searches`` without what another passage stands for."""
    firsts = [_firsts(part) for part in parts]
    works = [
        {shard: Fold(search.asked, some) for shard in part} if len(some) else {}
        for search, part, some in zip(searches, parts, firsts, strict=True)
    ]
    replies = asking.ask(searches, works, Folded)
    for search, work, folded in zip(searches, works, replies, strict=True):
        if work and not folded:  # others have nothing of what its filter compares
            search.error = search.error or ShardsMissing(sorted(search.missing), asking.shards)
    return [
        _without_copies(search, part, some, folded) if search.error is None else part
        for search, part, some, folded in zip(searches, parts, firsts, replies, strict=True)
    ]


def _firsts(parts: _Parts) -> Rows:
    """The firsts (g,) of what was found, ascending, of those that are copies of each other."""
    each = [one.firsts for one in parts.values() if one.firsts is not None]
    found = np.unique(np.concatenate([*each, np.zeros(0, np.int64)]))
    firsts: Rows = found[found != ALONE]
    return firsts


def _without_copies(
    search: Search, parts: _Parts, firsts: Rows, folded: Mapping[int, Folded]
) -> _Parts:
    """The ``parts`` of the shards that answered, where of those with one of ``firsts`` (g,) one is left.

    Notes in ``search`` for how many each stands.
    """
    if not len(firsts):
        search.state = replace(search.state, allow=None, stands_for=None)
        return parts
    stands = np.min([one.rows for one in folded.values()], axis=0)  # (g,)
    counts = np.sum([one.counts for one in folded.values()], axis=0)  # (g,)
    rows = np.unique(np.concatenate([stands, *(parts[shard].rows for shard in folded)]))
    stands_for = np.ones(len(rows), np.int64)
    stands_for[np.searchsorted(rows, stands)] = counts
    search.state = replace(search.state, allow=rows, stands_for=stands_for)
    left: dict[int, Found] = {}
    for shard in folded:
        part = parts[shard]
        assert part.firsts is not None  # noqa: S101 (it has some of them)
        copies = part.rows[(part.firsts != ALONE) & ~np.isin(part.rows, stands)]
        lists = {name: own[~np.isin(own, copies)] for name, own in part.found.items()}
        left[shard] = replace(part, found=lists)
    return left
