"""A server's start: the log replayed beside a bundle, by the limits of now."""

from __future__ import annotations

import errno
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.errors import FieldError
from lurcher.feedback.aggregation import Limits
from lurcher.feedback.log import FeedbackLog, read_log
from lurcher.feedback.online import Change
from lurcher.feedback.records import LogContent, Pair, Record, Submission
from lurcher.feedback.replay import open_state
from lurcher.feedback.state import FeedbackState, Outcome, Receipt

ROWS = {"p": 0, "other": 1}


def one(key: str, query: str = "q", client: str = "c") -> Submission:
    return Submission(client, 1.0, key, (Pair(query, "p", 1.0),))


def bundle(logs: dict[str, int] | None, similarity: str = "cosine") -> Bundle:
    """What replaying needs of a bundle: two passages, and which logs it has in it."""
    neighbours = None if logs is None else SimpleNamespace(logs=logs)
    passages = SimpleNamespace(rows_of=lambda ids: {i: ROWS[i] for i in ids if i in ROWS})
    encoder = SimpleNamespace(similarity=similarity)
    manifest = SimpleNamespace(neighbours=neighbours, encoder=encoder)
    return cast(Bundle, SimpleNamespace(manifest=manifest, passages=passages, since=lambda _: {}))


def test_a_replay_leaves_out_what_the_bundle_has_and_what_it_does_not_know(path: Path) -> None:
    log, _ = FeedbackLog.open(path)
    unknown = Submission("c", 3.0, "u", (Pair("q3", "gone", 1.0), Pair("q3", "other", 2.0)))
    log.append([one("a", "q1"), one("b", "q2"), unknown])
    log.close()
    for logs, queries in (
        (None, ["q1", "q2", "q3"]),
        ({"another log": 3}, ["q1", "q2", "q3"]),
        ({log.id: 1}, ["q2", "q3"]),
        ({log.id: 3}, []),
    ):
        state = open_state(path, bundle(logs), Limits(), 100)
        assert [change.query for change in state.changes()] == queries
        # By the keys of what is in the bundle too, a request sent again is known.
        assert state.commit([one("a", "q1")]) == ([Outcome(Receipt(1, (), 0), repeated=True)], [])
        state.log.close()
    assert read_log(path).sequence == 3


def test_a_bundle_whose_scores_are_dot_products_cannot_learn(path: Path) -> None:
    with pytest.raises(FieldError, match="dot product") as caught:
        open_state(path, bundle(None, "dot"), Limits(), 100)
    assert caught.value.field == "feedback"
    assert not path.exists()


def start(
    path: Path, logs: dict[str, int] | None = None, clients: int = 1, client_weight: float = 10.0
) -> FeedbackState:
    """What a server counts that starts with these limits, on a bundle that has so much of ``logs``."""
    state = open_state(path, bundle(logs), Limits(clients, client_weight), 100)
    state.log.close()
    return state


def test_a_server_notes_its_limits_where_they_are_others_than_before(path: Path) -> None:
    start(path)
    assert read_log(path).sequence == 0  # the log says the same without
    for _ in range(2):
        start(path, clients=2)
        assert (read_log(path).limits, read_log(path).sequence) == (Limits(2, 10.0), 1)
    start(path, client_weight=3.5)
    assert (read_log(path).limits, read_log(path).sequence) == (Limits(1, 3.5), 2)


def test_limits_that_cannot_be_noted_end_the_start(path: Path) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def on_a_full_disk(path: Path) -> tuple[FeedbackLog, LogContent]:
        return FeedbackLog.open(path, before_commit=full)

    start(path)
    with pytest.raises(FieldError, match=r"feedback\.log.*No space left"):
        open_state(path, bundle(None), Limits(2), 100, open_log=on_a_full_disk)
    start(path, clients=2)


def append(path: Path, *records: Record) -> dict[str, int]:
    """Put ``records`` into the log; its id and last number, as a bundle notes them."""
    log, _ = FeedbackLog.open(path)
    log.append(records)
    log.close()
    return {log.id: log.sequence}


def test_a_vote_held_back_in_a_bundle_counts_when_another_agrees_after_a_restart(
    path: Path,
) -> None:
    start(path, clients=2)
    folded = append(path, one("a", client="ann"))
    assert start(path, folded, clients=2).changes() == []
    append(path, one("b", client="bob"))
    assert start(path, folded, clients=2).changes() == [Change("q", "p", 2.0)]


def test_other_limits_change_what_counts_and_what_the_bundle_has_is_as_it_was(path: Path) -> None:
    """Folded while two clients had to agree; by now one is enough."""
    start(path, clients=2)
    folded = append(path, one("a", client="ann"), one("b", "r", "ann"), one("c", "r", "bob"))
    assert start(path, folded, clients=2).changes() == []
    assert start(path, folded).changes() == [Change("q", "p", 1.0)]


def test_where_the_end_of_the_log_was_lost_new_records_are_not_taken_for_what_was_folded(
    path: Path,
) -> None:
    folded = dict.fromkeys(append(path, one("a")), 7)
    with closing(open_state(path, bundle(folded), Limits(), 100).log) as log:
        (new,) = log.append([one("b", "new")])
    assert new.sequence == 8
    assert [change.query for change in start(path, folded).changes()] == ["new"]
