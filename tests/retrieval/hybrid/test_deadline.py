"""Words are not looked for where time is short, unless nothing else is asked."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.retrieval.costs import CostModel
from lurcher.retrieval.query import Query, RetrieveMode
from lurcher.retrieval.snapshot import Snapshot
from tests.retrieval.hybrid.searching import ask, gaining, ids

PAST = 0.0
LATE = Query("the warm sill of a window", 12, rank="off", deadline=PAST)


@pytest.mark.parametrize("mode", ["auto", "hybrid"])
def test_no_time_left_leaves_words_out_and_says_so(snapshot: Snapshot, mode: RetrieveMode) -> None:
    late = ask(snapshot, replace(LATE, retrieve=mode))
    assert late.degraded == ["retrieve_lexical"]
    dense = ask(snapshot, replace(LATE, retrieve="dense", deadline=None))
    assert ids(late.hits) == ids(dense.hits)
    assert [hit.score for hit in late.hits] == [hit.score for hit in dense.hits]
    assert all(set(hit.scores) == {"dense"} for hit in late.hits)


def test_a_search_by_words_alone_is_never_left_out(snapshot: Snapshot) -> None:
    for rank, degraded in (("off", []), ("maxsim", ["rank"])):
        query = replace(LATE, retrieve="lexical", rank=rank)  # type: ignore[arg-type]  # they are
        late = ask(snapshot, query)
        assert late.degraded == degraded
        wanted = ask(snapshot, replace(query, rank="off", deadline=None))
        assert ids(late.hits) == ids(wanted.hits)
        assert late.hits


def test_dense_leaves_nothing_out(snapshot: Snapshot) -> None:
    assert ask(snapshot, replace(LATE, retrieve="dense")).degraded == []


def test_late_queries_leave_those_beside_them_as_they_are(snapshot: Snapshot) -> None:
    soon = replace(LATE, deadline=perf_counter() + 60)
    late, whole = snapshot.run([LATE, soon])
    assert (late.degraded, whole.degraded) == (["retrieve_lexical"], [])  # type: ignore[union-attr]  # both are results
    assert whole.hits == ask(snapshot, replace(LATE, deadline=None)).hits  # type: ignore[union-attr]  # as above


def test_grouped_hits_say_once_what_was_left_out(snapshot: Snapshot) -> None:
    late = ask(snapshot, replace(LATE, group_by="document"))
    assert late.degraded == ["retrieve_lexical"]
    assert all(set(hit.scores) == {"dense"} for hit in late.hits)


def test_one_slow_look_up_does_not_end_all_of_them(small_bundle: Path) -> None:
    with closing(Bundle.open(small_bundle)) as bundle:
        slow = CostModel({"lexical": 1.0})  # seconds a posting, as if a disk had stood still
        snapshot = Snapshot(gaining(bundle), 1, costs=slow)
        tries = 0
        while ask(snapshot, replace(LATE, deadline=perf_counter() + 10)).degraded:
            tries += 1
            assert tries < 200
        assert tries > 0
        assert ask(snapshot, replace(LATE, deadline=perf_counter() + 10)).degraded == []
