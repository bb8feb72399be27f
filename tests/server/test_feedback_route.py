"""``/v1/feedback`` over HTTP: what is answered is on the disk, is known to searches, and counts once."""

from __future__ import annotations

import json
import math
import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.feedback.log import FeedbackLog, read_log
from lurcher.feedback.online import Change
from lurcher.feedback.records import Pair, Submission
from lurcher.models.engines import EngineName
from lurcher.retrieval.snapshot import Snapshot
from tests.server.serving import (
    PATIENCE,
    Client,
    Reply,
    assert_problem,
    port_of,
    running,
    settings,
    until,
)

PATH = "/v1/feedback"
CAT, TRAIN = "en-animals-0", "en-travel-0"
SERVE = [sys.executable, "-m", "lurcher", "serve"]


class Recorder:
    """Opens snapshots that note what they learn, while the gate is open, and fail to while they are to."""

    def __init__(self) -> None:
        self.learnt: list[Change] = []
        self.failing = False
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()

    def snapshot(self, bundle: Bundle, threads: int, engine: EngineName) -> Snapshot:
        return _Recording(bundle, threads, engine, self)


class _Recording(Snapshot):
    def __init__(
        self, bundle: Bundle, threads: int, engine: EngineName, recorder: Recorder
    ) -> None:
        super().__init__(bundle, threads, engine)
        self._recorder = recorder

    def learn(self, changes: Sequence[Change]) -> None:
        self._recorder.begun.set()
        assert self._recorder.gate.wait(PATIENCE)
        if self._recorder.failing:
            raise ZeroDivisionError("a bug in the core")
        self._recorder.learnt += changes
        super().learn(changes)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "feedback.log"


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def client(small_bundle: Path, log: Path, recorder: Recorder) -> Iterator[Client]:
    """A server that takes feedback, with small limits."""
    limits: dict[str, Any] = {"max_queries": 6, "max_query_chars": 100, "feedback_pairs": 8}
    with running(settings(small_bundle, feedback=log, **limits), recorder.snapshot) as client:
        yield client


def pair(query: str = "a sleepy pet", passage: str = CAT, **others: Any) -> dict[str, Any]:
    return {"query": query, "passage": passage, **others}


def give(client: Client, *pairs: dict[str, Any], key: str | None = None, **others: Any) -> Reply:
    headers = {} if key is None else {"Idempotency_Key": key}
    return client.post(PATH, {"pairs": list(pairs), **others}, **headers)


def remove(client: Client, query: str) -> Reply:
    return client.request("DELETE", f"{PATH}?{query}")


def counted(client: Client) -> dict[str, Any]:
    """What the server counts, without the log's size: a server that stops packs it."""
    counts: dict[str, Any] = client.get(PATH).json()
    del counts["log_bytes"]
    return counts


def judged(log: Path) -> list[tuple[str, str, float]]:
    return [(j.query, j.passage, j.weight) for j in read_log(log).judgements]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_feedback_is_off_unless_a_log_is_named(live: Client, method: str) -> None:
    body = json.dumps({"pairs": [pair()]}).encode() if method == "POST" else None
    headers = {"Content-Type": "application/json"}
    problem = assert_problem(live.request(method, PATH, body, headers), 403)
    assert "setting feedback = FILE" in problem["detail"]


def test_what_was_accepted_is_on_the_disk_and_known_to_searches(
    client: Client, log: Path, recorder: Recorder
) -> None:
    reply = give(client, pair(), pair(passage=TRAIN, weight=2.5), key="mine", bundle="small")
    assert reply.status == 200
    assert reply.json() == {"accepted": 2, "refused": [], "held_back": 0, "key": "mine"}
    assert judged(log) == [("a sleepy pet", CAT, 1.0), ("a sleepy pet", TRAIN, 2.5)]
    (given,) = read_log(log).submissions
    assert given.client == "address:127.0.0.1"
    assert given.time > 1e9
    assert [(c.query, c.weight) for c in recorder.learnt] == [
        ("a sleepy pet", 1.0),
        ("a sleepy pet", 2.5),
    ]
    counts = client.get(PATH).json()
    assert counts == {
        "pairs": 2, "held_back": 0, "most_pairs": 8, "judgements": 2, "sequence": 1,
        "log": read_log(log).id,
        "log_bytes": log.stat().st_size + log.with_name("feedback.log-wal").stat().st_size,
    }  # fmt: skip


def test_a_search_after_the_reply_finds_what_it_taught(client: Client) -> None:
    # No word of the query is in the passage, and it is far from first without being taught.
    query, passage = "quarterly revenue forecast", "de-food-1"
    before = [hit["id"] for hit in client.search(query, top_k=5).json()["hits"]]
    assert passage not in before
    assert give(client, pair(query, passage), key="k").json()["accepted"] == 1
    after = [hit["id"] for hit in client.search(query, top_k=5).json()["hits"]]
    assert after[0] == passage
    assert remove(client, "keys=k").json() == {"removed": 1}
    assert [hit["id"] for hit in client.search(query, top_k=5).json()["hits"]] == before


def test_unknown_passages_are_refused_one_by_one(client: Client, log: Path) -> None:
    reply = give(client, pair(passage="no such"), pair(), pair(passage="\x00'; --")).json()
    assert reply["accepted"] == 1
    assert reply["refused"] == [
        {"index": i, "field": f"pairs.{i}.passage", "reason": "no passage has this id"}
        for i in (0, 2)
    ]
    assert re.fullmatch("[0-9a-f]{32}", reply["key"])
    assert len(judged(log)) == 1
    before = read_log(log).sequence
    assert give(client, pair(passage="no such")).json()["accepted"] == 0
    assert read_log(log).sequence == before
    assert client.metric('lurcher_feedback_pairs_total{outcome="accepted"}') == 1
    assert client.metric('lurcher_feedback_pairs_total{outcome="refused"}') == 3
    assert client.metric("lurcher_learnt_pairs") == 1


def test_a_request_sent_again_counts_once_and_is_answered_the_same(
    client: Client, log: Path
) -> None:
    asked = [pair(), pair(passage="no such")]
    first = give(client, *asked, key="k")
    assert give(client, *asked, key="k").body == first.body
    assert read_log(log).sequence == 1
    assert client.metric('lurcher_feedback_pairs_total{outcome="accepted"}') == 1
    problem = assert_problem(give(client, pair(), key="k"), 422)
    assert problem["errors"][0]["field"] == "Idempotency-Key"
    assert give(client, *asked).json()["key"] != give(client, *asked).json()["key"]
    assert read_log(log).sequence == 3


def test_a_server_that_starts_again_knows_what_it_was_told(
    small_bundle: Path, log: Path, recorder: Recorder
) -> None:
    wanted = settings(small_bundle, feedback=log, feedback_client_weight=2.0)
    with running(wanted, recorder.snapshot) as client:
        first = give(client, pair(), pair(), pair(), pair("other", TRAIN, weight=0.1), key="k")
        give(client, pair("taken back"), key="gone")
        assert remove(client, "keys=gone").json() == {"removed": 1}
        counts = counted(client)
    weights = {(c.query, c.passage): c.weight for c in recorder.learnt}
    recorder.learnt = []
    with running(wanted, recorder.snapshot) as client:
        assert {(c.query, c.passage): c.weight for c in recorder.learnt} == {
            key: weight for key, weight in weights.items() if weight
        }
        assert sorted(c.weight for c in recorder.learnt) == [0.1, 2.0]
        assert counted(client) == counts
        again = give(client, pair(), pair(), pair(), pair("other", TRAIN, weight=0.1), key="k")
        assert again.body == first.body
        assert counted(client) == counts


def test_judgements_of_passages_that_the_bundle_lacks_stay_in_the_log(
    small_bundle: Path, log: Path, recorder: Recorder
) -> None:
    opened, _ = FeedbackLog.open(log)
    opened.append([Submission("c", 1.0, "k", (Pair("q", "gone", 1.0), Pair("q", CAT, 1.0)))])
    opened.close()
    with running(settings(small_bundle, feedback=log), recorder.snapshot) as client:
        assert client.get(PATH).json()["pairs"] == 1
        assert [c.query for c in recorder.learnt] == ["q"]
    assert len(judged(log)) == 2


def test_removal_by_key_and_by_time(client: Client, log: Path, recorder: Recorder) -> None:
    for key in ("a", "b", "c"):
        give(client, pair(f"query {key}"), pair(f"query {key}", TRAIN), key=key)
    recorder.learnt = []
    assert remove(client, "keys=a&keys=c&keys=unknown").json() == {"removed": 4}
    assert sorted({c.query for c in recorder.learnt}) == ["query a", "query c"]
    assert {c.weight for c in recorder.learnt} == {0.0}
    assert [query for query, _, _ in judged(log)] == ["query b"] * 2
    assert remove(client, "before=2001-09-09T01:46:40Z").json() == {"removed": 0}
    assert remove(client, "before=1e11").json() == {"removed": 2}
    assert judged(log) == []
    assert client.get(PATH).json()["pairs"] == 0
    assert client.metric("lurcher_learnt_pairs") == 0
    assert give(client, pair("another"), key="a").status == 200  # the key is free again


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "keys"),
        ("keys=a&before=3", "keys"),
        ("before=yesterday", "before"),
        ("before=nan", "before"),
        ("before=1e999", "before"),
        ("before=", "before"),
        ("key=a", "key"),
        ("before=9999-99-99", "before"),
        ("keys=" + "&keys=".join("x" * 1_001), "keys"),
    ],
)
def test_removal_that_is_not_clear_is_refused(client: Client, query: str, field: str) -> None:
    problem = assert_problem(remove(client, query), 422)
    assert problem["errors"][0]["field"] == field


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "pairs"),
        ({"pairs": []}, "pairs"),
        ({"pairs": [pair()], "bundel": "small"}, "bundel"),
        ({"pairs": [pair(), pair(weight=0)]}, "pairs.1.weight"),
        ({"pairs": [pair(weight=-1)]}, "pairs.0.weight"),
        ({"pairs": [pair(weight=1_000.5)]}, "pairs.0.weight"),
        ({"pairs": [pair(weight=math.nan)]}, "pairs.0.weight"),
        ({"pairs": [pair(weight=math.inf)]}, "pairs.0.weight"),
        ({"pairs": [pair(weight="1")]}, "pairs.0.weight"),
        ({"pairs": [pair(weight=True)]}, "pairs.0.weight"),
        ({"pairs": [pair("  \n")]}, "pairs.0.query"),
        ({"pairs": [pair("x" * 101)]}, "pairs.0.query"),
        ({"pairs": [pair("\ud800")]}, "pairs.0.query"),
        ({"pairs": [pair(passage="\ud800")]}, "pairs.0.passage"),
        ({"pairs": [pair(passage="")]}, "pairs.0.passage"),
    ],
)
def test_field_at_fault_is_named_and_nothing_is_taken(
    client: Client, log: Path, body: Any, field: str
) -> None:
    problem = assert_problem(client.post(PATH, body), 422)
    assert problem["errors"][0]["field"] == field
    assert read_log(log).sequence == 0


@pytest.mark.parametrize("key", ["a b", "x" * 201, "é"])
def test_key_that_cannot_be_one_is_named(client: Client, key: str) -> None:
    problem = assert_problem(give(client, pair(), key=key), 422)
    assert problem["errors"][0]["field"] == "Idempotency-Key"


def test_too_many_pairs_and_another_bundle(client: Client) -> None:
    assert "at most 6" in assert_problem(give(client, *[pair()] * 7), 413)["detail"]
    problem = assert_problem(give(client, pair(), bundle="large"), 409)
    assert "'small' is loaded" in problem["detail"]


def test_beyond_the_limit_new_pairs_are_refused_and_known_ones_gain_weight(
    client: Client,
) -> None:
    for i in range(2):
        give(client, *[pair(f"query {i}-{j}") for j in range(4)])
    problem = assert_problem(give(client, pair("query 0-0"), pair("new")), 507)
    assert "lurcher adapt --from-log" in problem["detail"]
    assert client.get(PATH).json()["judgements"] == 8
    assert give(client, pair("Query  0-0"), pair("query 0-1")).json()["accepted"] == 2


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


# As a process.


@pytest.fixture
def start(small_bundle: Path, log: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """A function that starts a server of the log as a process; all are killed in the end."""
    started: list[subprocess.Popen[str]] = []

    def begin() -> subprocess.Popen[str]:
        command = [*SERVE, str(small_bundle), "--port", "0", "--feedback", str(log)]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ)
        started.append(server)
        return server

    yield begin
    for server in started:
        server.kill()
        server.communicate(timeout=PATIENCE)


@pytest.mark.parametrize("kills", [1, pytest.param(8, marks=pytest.mark.nightly)])
def test_what_was_answered_survives_a_kill_at_any_moment(
    start: Callable[[], subprocess.Popen[str]], log: Path, kills: int
) -> None:
    answered: list[str] = []

    def keep_giving(client: Client, worker: str) -> None:
        for i in range(10_000):
            key = f"{worker}-{i}"
            try:
                reply = give(client, pair(f"query {key}"), pair(f"query {key}", TRAIN), key=key)
            except (OSError, HTTPException):  # the server is gone
                return
            assert reply.status == 200
            answered.append(key)

    for rounds in range(1, kills + 1):
        server = start()
        client = Client(port_of(server))
        client.until_ready()
        with ThreadPoolExecutor(4) as threads:
            enough = len(answered) + 25 * rounds
            work = [threads.submit(keep_giving, client, f"{rounds}-{i}") for i in range(4)]
            until(lambda enough=enough: len(answered) >= enough)  # type: ignore[misc]  # bound now
            server.kill()
            for one in work:
                one.result(PATIENCE)
        server.wait(PATIENCE)
        kept = read_log(log)
        assert {s.key for s in kept.submissions} >= set(answered)
        assert all(len(g.pairs) == 2 for g in kept.submissions)
    client = Client(port_of(start()))
    client.until_ready()
    counts = client.get(PATH).json()
    assert counts["pairs"] == counts["judgements"] == len(kept.judgements)
    assert give(client, pair(f"query {answered[-1]}"), pair(f"query {answered[-1]}", TRAIN),
                key=answered[-1]).json()["accepted"] == 2  # fmt: skip
    assert client.get(PATH).json() == counts


def test_two_servers_cannot_share_a_log_and_a_damaged_one_ends_the_server(
    start: Callable[[], subprocess.Popen[str]], log: Path
) -> None:
    first = start()
    client = Client(port_of(first))
    client.until_ready()
    second = start()
    _, said = second.communicate(timeout=PATIENCE)
    assert second.returncode == 1
    assert said.splitlines()[-1].startswith("error feedback: another process writes to")
    for i in range(2):
        give(client, pair(f"query {i}"))
    first.terminate()
    assert first.wait(PATIENCE) == 0
    log.write_bytes(log.read_bytes().replace(b"query 0", b"quarry0"))
    third = start()
    _, said = third.communicate(timeout=PATIENCE)
    assert third.returncode == 1
    assert said.splitlines()[-1].startswith(f"error {log}, record 1: the record is damaged")
