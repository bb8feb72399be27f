"""Feedback that cannot be written, or that searches cannot learn, or not yet."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from lurcher.bundle.bundle import Bundle
from lurcher.models.engines import EngineName
from lurcher.retrieval.snapshot import Snapshot
from tests.server.feedback.giving import PATH, Recorder, give, judged, pair, remove
from tests.server.serving import PATIENCE, Client, assert_problem, running, settings, until


def test_a_log_that_cannot_be_written_is_507_and_the_same_request_can_be_sent_again(
    client: Client, log: Path
) -> None:
    stranger = sqlite3.connect(log, isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    problem = assert_problem(give(client, pair(), key="k"), 507)
    assert "database is locked" in problem["detail"]
    assert client.search("a cat").status == 200
    stranger.close()
    assert give(client, pair(), key="k").json()["accepted"] == 1
    assert len(judged(log)) == 1


def test_a_search_is_not_hurt_by_feedback_that_cannot_be_applied(
    client: Client, recorder: Recorder
) -> None:
    recorder.failing = True
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(give, client, pair(), key="k") for _ in range(2)]
        searches = [threads.submit(client.search, "a cat") for _ in range(6)]
        assert {reply.result(PATIENCE).status for reply in searches} == {200}
        for reply in asked:
            problem = assert_problem(reply.result(PATIENCE), 500)
            assert "bug" not in problem["detail"]
    recorder.failing = False
    assert give(client, pair(), key="k").json()["accepted"] == 1
    assert [(c.query, c.weight) for c in recorder.learnt] == [("a sleepy pet", 1.0)]


def test_feedback_that_comes_too_fast_is_429_and_can_be_sent_again(
    small_bundle: Path, log: Path, recorder: Recorder
) -> None:
    limits = {"max_queries": 6, "max_waiting": 6}
    with (
        running(settings(small_bundle, feedback=log, **limits), recorder.snapshot) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        recorder.gate.clear()
        recorder.begun.clear()
        first = threads.submit(give, client, pair())
        assert recorder.begun.wait(PATIENCE)
        rest = [threads.submit(give, client, pair(f"q{i}"), key=str(i)) for i in range(7)]
        refused = next(one for one in as_completed(rest, PATIENCE))
        assert_problem(refused.result(), 429)
        assert int(refused.result().headers["retry-after"]) >= 1
        recorder.gate.set()
        statuses = [one.result(PATIENCE).status for one in (first, *rest)]
        assert sorted(statuses) == [200] * 7 + [429]
        assert give(client, pair(f"q{rest.index(refused)}")).status == 200
        assert client.get(PATH).json()["pairs"] == 8


def test_feedback_that_searches_learn_late_is_accepted_in_time(
    small_bundle: Path, log: Path, recorder: Recorder
) -> None:
    wanted = settings(small_bundle, feedback=log, timeout_ms=200)
    with running(wanted, recorder.snapshot) as client:
        recorder.gate.clear()
        assert give(client, pair(), key="k").json()["accepted"] == 1
        assert len(judged(log)) == 1
        assert recorder.learnt == []
        recorder.gate.set()
        until(lambda: recorder.learnt != [])  # though nobody asks any more


def test_until_the_server_is_ready_feedback_gets_503(small_bundle: Path, log: Path) -> None:
    def slow(bundle: Bundle, threads: int, engine: EngineName) -> Snapshot:
        until(asked.is_file)
        return Snapshot(bundle, threads, engine)

    asked = log.with_name("asked")
    with running(settings(small_bundle, feedback=log), slow, ready=False) as client:
        for reply in (give(client, pair()), client.get(PATH), remove(client, "keys=a")):
            assert_problem(reply, 503)
        asked.touch()
        client.until_ready()
        assert give(client, pair()).status == 200
