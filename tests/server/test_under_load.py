"""A server that is busy, late, left alone by its client, at fault, or told to stop."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.errors import LurcherError
from lurcher.models.engines import EngineName
from lurcher.retrieval.query import Query
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from tests.server.serving import (
    PATIENCE,
    Client,
    Gate,
    Reply,
    accepts,
    assert_problem,
    running,
    serving,
    settings,
    until,
)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def gated(small_bundle: Path, gate: Gate) -> Iterator[Client]:
    """A ready server whose queue holds three; shut its gate and it stays busy."""
    limits = {"max_waiting": 3, "max_queries": 3}
    with running(settings(small_bundle, **limits), gate.snapshot) as client:
        gate.begun()
        gate.batches.clear()
        yield client
        gate.open.set()


def keep_busy(client: Client, gate: Gate, threads: ThreadPoolExecutor) -> Future[Reply]:
    """The reply to a search that stands before the gate."""
    gate.open.clear()
    first = threads.submit(client.search, "first")
    gate.begun()
    return first


def wait_for(client: Client, waiting: int) -> None:
    until(lambda: client.metric("lurcher_waiting_queries") == waiting)


def test_full_queue_is_429_with_retry_after(
    gated: Client, gate: Gate, threads: ThreadPoolExecutor
) -> None:
    first = keep_busy(gated, gate, threads)
    rest = threads.submit(gated.post, "/v1/search/batch", {"queries": ["a", "b", "c"]})
    wait_for(gated, 3)
    reply = gated.post("/v1/search/batch", {"queries": ["two", "too many"]})
    assert_problem(reply, 429)
    assert int(reply.headers["retry-after"]) >= 1
    gate.open.set()
    assert first.result(PATIENCE).status == rest.result(PATIENCE).status == 200
    assert gate.batches == [["first"], ["a", "b", "c"]]
    assert gated.search("now there is room").status == 200


def test_passed_deadline_is_504_and_the_query_is_never_begun(
    gated: Client, gate: Gate, threads: ThreadPoolExecutor
) -> None:
    first = keep_busy(gated, gate, threads)
    assert_problem(gated.search("late", timeout_ms=60), 504)
    assert_problem(gated.post("/v1/search/batch", {"queries": ["maxsim"], "timeout_ms": 60}), 504)
    gate.open.set()
    assert first.result(PATIENCE).status == 200
    assert gated.search("next").status == 200
    assert gate.batches == [["first"], ["next"]]


def test_request_without_a_timeout_gets_the_servers(small_bundle: Path, gate: Gate) -> None:
    with running(settings(small_bundle, timeout_ms=1), gate.snapshot) as client:
        gate.open.clear()
        problem = assert_problem(client.search("late", timeout_ms=60_000), 504)
        assert "within 1 ms" in problem["detail"]
        gate.open.set()


def test_searches_that_wait_are_answered_together(
    gated: Client, gate: Gate, threads: ThreadPoolExecutor
) -> None:
    first = keep_busy(gated, gate, threads)
    others = [threads.submit(gated.search, name) for name in "abc"]
    wait_for(gated, 3)
    gate.open.set()
    replies = [future.result(PATIENCE) for future in (first, *others)]
    assert [reply.status for reply in replies] == [200] * 4
    assert [sorted(batch) for batch in gate.batches] == [["first"], ["a", "b", "c"]]
    assert replies[1].json()["timings_ms"]["queue"] > 0


def test_client_that_hangs_up_does_no_harm(
    gated: Client, gate: Gate, threads: ThreadPoolExecutor
) -> None:
    first = keep_busy(gated, gate, threads)
    body = b'{"query": "gone"}'
    with socket.create_connection(("127.0.0.1", gated.port), PATIENCE) as connection:
        connection.sendall(
            b"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        wait_for(gated, 1)
    with socket.create_connection(("127.0.0.1", gated.port), PATIENCE) as connection:
        connection.sendall(
            b"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
        )
    gate.open.set()
    assert first.result(PATIENCE).status == 200
    assert gated.search("next").status == 200
    assert ["next"] in gate.batches


class Broken(Snapshot):
    """Fails on the query ``crash`` as no error of ours would."""

    def run(self, queries: Sequence[Query]) -> list[SearchResult | LurcherError]:
        if any(query.text == "crash" for query in queries):
            raise ZeroDivisionError("secret detail")
        return super().run(queries)


def test_fault_nobody_foresaw_is_a_problem_without_its_trace(small_bundle: Path) -> None:
    with running(settings(small_bundle), Broken) as client:
        reply = client.search("crash")
        assert_problem(reply, 500)
        assert b"secret" not in reply.body
        assert b"ZeroDivision" not in reply.body
        assert client.search("next").status == 200
        assert client.metric('lurcher_requests_total{route="/v1/search",status="500"}') == 1


class Unloadable(Snapshot):
    def __init__(self, bundle: Bundle, threads: int, engine: EngineName) -> None:
        super().__init__(bundle, threads, engine)
        raise MemoryError("no room")


def test_bundle_that_cannot_be_loaded_leaves_the_server_live_and_never_ready(
    small_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(settings(small_bundle), Unloadable, ready=False) as client:
        assert client.get("/livez").status == 200
        assert_problem(client.get("/readyz"), 503)
    assert "the bundle cannot be loaded" in capsys.readouterr().out


def test_stopping_server_finishes_what_it_started(
    small_bundle: Path, gate: Gate, threads: ThreadPoolExecutor
) -> None:
    with serving(settings(small_bundle), gate.snapshot) as (client, server):
        gate.begun()
        first = keep_busy(client, gate, threads)
        waiting = threads.submit(client.search, "waiting")
        wait_for(client, 1)
        server.should_exit = True
        until(lambda: not accepts(client.port))
        gate.open.set()
        assert first.result(PATIENCE).status == waiting.result(PATIENCE).status == 200
