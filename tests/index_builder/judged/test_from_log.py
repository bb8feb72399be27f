"""A feedback log as known queries: what a server that replays it would count, weight for weight."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.errors import FeedbackCorrupt
from lurcher.feedback.aggregation import Limits
from lurcher.feedback.log import FeedbackLog
from lurcher.feedback.records import LimitsChange, Pair, Record, Removal, Submission
from lurcher.feedback.state import FeedbackState
from lurcher.index_builder.judged.from_log import known_from_log, log_prefix
from lurcher.index_builder.judged.known import query_id
from lurcher.text import normalised

QUERIES = st.sampled_from(["yeast", "  Yeast ", "glaciers", "two  words", "Two words"])
PASSAGES = ["p0", "p1", "p2"]
PAIRS = st.builds(Pair, QUERIES, st.sampled_from(PASSAGES), st.sampled_from([0.25, 1.0, 3.0]))
SUBMISSIONS = st.builds(
    Submission, st.sampled_from(["ann", "bob", "cem"]), st.integers(1, 9).map(float),
    st.sampled_from(["k1", "k2", "k3"]), st.lists(PAIRS, min_size=1, max_size=4).map(tuple),
)  # fmt: skip
REMOVALS = st.builds(
    Removal, st.just(9.0), st.lists(st.sampled_from(["k1", "k2"]), max_size=1).map(tuple),
    st.none() | st.integers(1, 5).map(float),
)  # fmt: skip


def written(path: Path, records: list[Record]) -> str:
    """The id of a new log with ``records``, one append each."""
    log, _ = FeedbackLog.open(path)
    with closing(log):
        for record in records:
            log.append([record])
        return log.id


@given(
    st.lists(SUBMISSIONS | SUBMISSIONS | REMOVALS, max_size=12), st.sampled_from([0.5, 2.0, 10.0]),
    st.integers(1, 3),
)  # fmt: skip
def test_a_log_says_what_the_server_that_wrote_it_counts(
    tmp_path_factory: pytest.TempPathFactory,
    records: list[Submission | Removal],
    client_weight: float,
    clients: int,
) -> None:
    path = tmp_path_factory.mktemp("log") / "feedback.log"
    limits = Limits(clients, client_weight)
    log_, _ = FeedbackLog.open(path)
    with closing(log_):
        log_.append([LimitsChange(1.0, limits)])
        server = FeedbackState(log_, limits)
        for record in records:
            server.commit([record])
        id_, count = log_.id, log_.sequence
    wanted = {(normalised(c.query), c.passage): c.weight for c in server.changes()}
    known, log, last = known_from_log(path)
    found = {
        (normalised(query.text), passage): weight
        for query in known
        for passage, weight in query.labels.items()
    }
    assert found == pytest.approx(wanted)
    assert (log, last) == (id_, count)
    assert all(query.labels and min(query.labels.values()) > 0 for query in known)
    assert len({query.id for query in known}) == len(known)
    assert {query.source for query in known} <= {"feedback.log"}


def test_one_client_cannot_outweigh_all_others(tmp_path: Path) -> None:
    loud = Submission("loud", 1.0, "a", (Pair("q", "p1", 3.0),) * 5)
    quiet = [Submission(f"c{i}", 1.0, "a", (Pair("q", "p2", 1.0),)) for i in range(3)]
    written(tmp_path / "log", [LimitsChange(1.0, Limits(1, 2.0)), loud, *quiet])
    (known,), _, _ = known_from_log(tmp_path / "log")
    assert known.labels == {"p1": 2.0, "p2": 3.0}


def test_a_pair_counts_once_enough_clients_agree(tmp_path: Path) -> None:
    pairs = (Pair("q", "alone", 1.0), Pair("q", "agreed", 1.0), Pair("else", "alone", 1.0))
    again = Submission("ann", 2.0, "b", pairs)
    written(
        tmp_path / "log",
        [
            LimitsChange(1.0, Limits(clients=2)),
            Submission("ann", 1.0, "a", pairs),
            again,
            Submission("bob", 1.0, "a", (Pair("Q ", "agreed", 1.0),)),
        ],
    )
    known, _, _ = known_from_log(tmp_path / "log")
    assert [query.labels for query in known] == [{"agreed": 3.0}]


def test_ids_depend_on_the_log_and_the_text_alone(tmp_path: Path) -> None:
    """So that a log folded in again replaces what it said before, and nothing of another's."""
    first = Submission("ann", 1.0, "a", (Pair("What is  yeast?", "p", 1.0),))
    ids = {name: written(tmp_path / name, [first]) for name in ("one", "two")}
    (one,), *_ = known_from_log(tmp_path / "one")
    (two,), *_ = known_from_log(tmp_path / "two")
    assert one.id == query_id(log_prefix(ids["one"]), "what is yeast?") != two.id
    assert (one.text, one.source, two.source) == ("What is yeast?", "one", "two")
    again = Submission("bob", 2.0, "b", (Pair("what is yeast?", "p2", 1.0),))
    written(tmp_path / "one", [again])
    (grown,), *_ = known_from_log(tmp_path / "one")
    assert grown.id == one.id
    assert grown.labels == {"p": 1.0, "p2": 1.0}


def test_a_log_with_nothing_left_has_no_queries_but_a_number(tmp_path: Path) -> None:
    gone = [Submission("ann", 1.0, "a", (Pair("q", "p", 1.0),)), Removal(2.0, ("a",))]
    id_ = written(tmp_path / "log", list(gone))
    assert known_from_log(tmp_path / "log") == ([], id_, 2)


def test_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log"
    written(path, [Submission("ann", 1.0, "a", (Pair("q", "p1", 1.0),))])
    path.write_bytes(path.read_bytes().replace(b'"p1"', b'"p2"'))
    with pytest.raises(FeedbackCorrupt, match="record 1: the record is damaged"):
        known_from_log(path)
    path.write_bytes(b"")
    with pytest.raises(FeedbackCorrupt, match="nothing was written"):
        known_from_log(path)
    with pytest.raises(OSError, match="No such file"):
        known_from_log(tmp_path / "none")
