"""However a bundle is cut into segments, and whatever is deleted, it answers like one segment of the rest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given

from lurcher.benchmarks.segments import frozen
from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Condition
from lurcher.errors import FieldError
from lurcher.retrieval.query import Query, ReadOptions
from lurcher.retrieval.snapshot import Snapshot
from tests.bundle.segmented.cutting import SOME, Cut, answers, cuts, fresh, segments_of

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


@pytest.fixture(scope="module")
def whole(answering_bundle: Path) -> Iterator[Snapshot]:
    with closing(Bundle.open(answering_bundle)) as bundle:
        yield Snapshot(frozen(bundle), 1)


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


def test_a_bundle_of_which_all_is_deleted_finds_nothing(whole: Snapshot) -> None:
    bundle = whole.bundle
    with closing(bundle.with_segments(bundle.segments, [np.ones(60, np.bool_)])) as empty:
        assert empty.passages.count == 0
        snapshot = whole.moved(empty)
        snapshot.warm_up()
        assert [found[0] for found in answers(snapshot, QUERIES)] == [[]] * len(QUERIES)
