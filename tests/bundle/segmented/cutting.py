"""Ways to cut a bundle of sixty passages into segments, with deletions."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from lurcher.benchmarks.segments import taken
from lurcher.bundle.bundle import Bundle
from lurcher.retrieval.query import Query
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot

# An example opens two bundles and asks each a dozen queries.
SOME = settings(max_examples=max(8, settings().max_examples // 4))


@dataclass(frozen=True)
class Cut:
    """A permutation of all passages, where it is cut, and what is deleted, by place in it."""

    order: list[int]
    ends: list[int]
    deleted: frozenset[int]


@st.composite
def cuts(draw: st.DrawFn) -> Cut:
    order = draw(st.permutations(range(60)))
    ends = sorted(draw(st.sets(st.integers(1, 59), max_size=6)))
    deleted = draw(st.sets(st.integers(0, 59), max_size=draw(st.sampled_from([0, 3, 59]))))
    return Cut(order, ends, frozenset(deleted))


def segments_of(bundle: Bundle, cut: Cut) -> Bundle:
    """``bundle`` in segments."""
    bounds = [0, *cut.ends, 60]
    runs = [range(a, b) for a, b in pairwise(bounds)]
    segments = [taken(bundle.segments[0], [cut.order[place] for place in run]) for run in runs]
    gone = [np.array([place in cut.deleted for place in run]) for run in runs]
    return bundle.with_segments(segments, [mask if mask.any() else None for mask in gone])


def fresh(bundle: Bundle, cut: Cut) -> Bundle:
    """``bundle`` as one segment of what is not deleted, in the same order."""
    rest = [row for place, row in enumerate(cut.order) if place not in cut.deleted]
    return bundle.with_segments([taken(bundle.segments[0], rest)], [None])


def answers(snapshot: Snapshot, queries: list[Query]) -> list[tuple[object, object]]:
    """All that a reply says of each query."""
    found: list[tuple[object, object]] = []
    for result in snapshot.run(queries):
        assert isinstance(result, SearchResult), result
        hits = [(hit.id, hit.score, hit.scores, hit.duplicates) for hit in result.hits]
        found.append((hits, [(one.text, one.score) for one in result.answers]))
    return found
