"""Known queries name passages by their ids: they follow them from segment to segment, and go with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from lurcher.benchmarks.segments import frozen, taken
from lurcher.bundle.bundle import Bundle
from lurcher.retrieval.query import NeighbourMode, Query
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from tests.bundle.segmented.cutting import SOME, Cut, answers, cuts, fresh, segments_of
from tests.tickets import TICKET

MODES: tuple[NeighbourMode, ...] = ("adapted", "voting")
QUERIES = [
    Query(TICKET.format(7919 * number), 60, neighbours=mode, rank=rank)
    for mode in MODES
    for number in (0, 33)
    for rank in ("off", "maxsim")
]


@pytest.fixture(scope="module")
def whole(ticket_bundle: Path) -> Iterator[Snapshot]:
    with closing(Bundle.open(ticket_bundle)) as bundle:
        yield Snapshot(frozen(bundle), 1)


def best(snapshot: Snapshot, number: int, mode: NeighbourMode) -> list[str]:
    """The ids that a ticket finds."""
    query = Query(TICKET.format(7919 * number), 60, neighbours=mode, rank="off", retrieve="dense")
    (result,) = snapshot.run([query])
    assert isinstance(result, SearchResult)
    return [hit.id for hit in result.hits]


@SOME
@given(cuts())
def test_segments_answer_like_one(whole: Snapshot, cut: Cut) -> None:
    with closing(segments_of(whole.bundle, cut)) as apart, closing(fresh(whole.bundle, cut)) as one:
        mine, theirs = whole.moved(apart), whole.moved(one)
        for query, a, b in zip(
            QUERIES, answers(mine, QUERIES), answers(theirs, QUERIES), strict=True
        ):
            assert a == b, query


def test_uncut_they_score_as_they_were_written(whole: Snapshot) -> None:
    """Scores that are worked out anew are those in the files."""
    known = whole.bundle.neighbours
    assert known is not None
    with closing(segments_of(whole.bundle, Cut(list(range(60)), [30], frozenset()))) as apart:
        again = apart.neighbours
        assert again is not None
        assert again.files is known.files
        places = np.arange(len(known.labels.rows))
        np.testing.assert_array_equal(again.labels.rows, known.labels.rows)
        np.testing.assert_allclose(again.scores_of(places), known.scores_of(places), atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_they_follow_a_passage_that_is_written_again_and_go_when_it_is_deleted(
    whole: Snapshot, small_records: list[dict[str, Any]], mode: NeighbourMode
) -> None:
    bundle, id_ = whole.bundle, small_records[8]["id"]
    assert best(whole, 8, mode)[0] == id_
    gone = np.arange(60) == 8
    (passage,) = bundle.passages.get([8])
    again = taken(bundle.segments[0], [21], [replace(passage, text="Other words altogether.")])
    with closing(bundle.with_segments([*bundle.segments, again], [gone, None])) as upserted:
        snapshot = whole.moved(upserted)
        assert best(snapshot, 8, mode)[0] == id_
        assert upserted.passages.rows_of([id_]) == {id_: 60}
        with closing(upserted.with_segments(bundle.segments, [gone])) as deleted:
            assert id_ not in best(snapshot.moved(deleted), 8, mode)
            with closing(deleted.with_segments([*bundle.segments, again], [gone, None])) as back:
                assert best(snapshot.moved(back), 8, mode)[0] == id_
