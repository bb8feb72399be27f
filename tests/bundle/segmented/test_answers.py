"""However a bundle is cut into segments, and whatever is deleted, it answers like one segment of the rest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Condition
from lurcher.errors import FieldError
from lurcher.retrieval.query import Query, ReadOptions
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from tests.living import frozen, piece

ENGLISH = (Condition("lang", "in", ("en",)),)
LATE = (Condition("year", "range", (2008, None, None, None)),)
QUERIES = [
    Query("a sleeping cat", rank="off", retrieve="dense"),
    Query("bread and yeast", 100, rank="off", retrieve="dense"),
    Query("Züge zwischen Städten", 7, LATE, rank="off", retrieve="dense"),
    Query("the glacier carves a valley", rank="off", retrieve="lexical"),
    Query("windowsill", 100, rank="off", retrieve="lexical"),
    Query("trains leave every twenty minutes", rank="off"),
    Query("orchestra", 5, ENGLISH),
    Query("eine Katze schläft", 100, fold=True),
    Query('"warm windowsill" cat', query_syntax="phrase", rank="off"),
    Query("food", 12, group_by="document"),
    Query("music in the afternoon", 4, LATE, fold=True, rank="off"),
    Query("why does bread rise?", 5, rank="reader", read=ReadOptions()),
]


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


@pytest.fixture(scope="module")
def whole(answering_bundle: Path) -> Iterator[Snapshot]:
    with closing(Bundle.open(answering_bundle)) as bundle:
        yield Snapshot(frozen(bundle), 1)


def segments_of(bundle: Bundle, cut: Cut) -> Bundle:
    """``bundle`` in segments."""
    bounds = [0, *cut.ends, 60]
    runs = [range(a, b) for a, b in pairwise(bounds)]
    segments = [piece(bundle.segments[0], [cut.order[place] for place in run]) for run in runs]
    gone = [np.array([place in cut.deleted for place in run]) for run in runs]
    return bundle.with_segments(segments, [mask if mask.any() else None for mask in gone])


def fresh(bundle: Bundle, cut: Cut) -> Bundle:
    """``bundle`` as one segment of what is not deleted, in the same order."""
    rest = [row for place, row in enumerate(cut.order) if place not in cut.deleted]
    return bundle.with_segments([piece(bundle.segments[0], rest)], [None])


def answers(snapshot: Snapshot, queries: list[Query]) -> list[object]:
    """All that a reply says of each query."""
    found = []
    for result in snapshot.run(queries):
        assert isinstance(result, SearchResult), result
        hits = [(hit.id, hit.score, hit.scores, hit.duplicates) for hit in result.hits]
        found.append((hits, [(one.text, one.score) for one in result.answers]))
    return found


# An example opens two bundles and asks each a dozen queries.
SOME = settings(max_examples=max(8, settings().max_examples // 4))


@SOME
@example(Cut(list(range(60)), [59], frozenset()))
@example(Cut(list(range(60)), [20, 40], frozenset(range(20, 40))))
@given(cuts())
def test_segments_answer_like_one(whole: Snapshot, cut: Cut) -> None:
    with ExitStack() as stack:
        apart, one = segments_of(whole.bundle, cut), fresh(whole.bundle, cut)
        stack.enter_context(closing(apart))
        stack.enter_context(closing(one))
        assert apart.passages.count == one.passages.count == 60 - len(cut.deleted)
        mine, theirs = whole.moved(apart), whole.moved(one)
        for query, a, b in zip(
            QUERIES, answers(mine, QUERIES), answers(theirs, QUERIES), strict=True
        ):
            assert a == b, query


@SOME
@given(cuts())
def test_passages_of_segments_are_those_that_are_left(whole: Snapshot, cut: Cut) -> None:
    bundle = whole.bundle
    with closing(segments_of(bundle, cut)) as apart, closing(fresh(bundle, cut)) as one:
        mine, theirs = apart.passages, one.passages
        ids = [p.id for p in bundle.passages.get(range(60))]
        rows, there = mine.rows_of(ids), theirs.rows_of(ids)
        assert rows.keys() == there.keys()
        assert mine.get(list(rows.values())) == theirs.get([there[id_] for id_ in rows])
        assert [p.id for p in mine.get(mine.rows(()).tolist())] == [
            p.id for p in theirs.get(theirs.rows(()).tolist())
        ]
        for id_ in ids[:8]:
            assert mine.of_document(id_) == theirs.of_document(id_)
        for conditions in (ENGLISH, LATE, (*ENGLISH, *LATE)):
            # A field that only deleted passages have is known until they are compacted away.
            try:
                wanted = theirs.get(theirs.rows(conditions).tolist())
            except FieldError:
                wanted = []
            assert mine.get(mine.rows(conditions).tolist()) == wanted
        assert sorted(mine.document_sizes()) == sorted(theirs.document_sizes())
