"""A server that many ask at once: who is refused, who is served, and with what left out."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.server.serving import (
    PATIENCE,
    Client,
    Gate,
    Reply,
    assert_problem,
    running,
    settings,
    until,
)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def crowded(small_bundle: Path, gate: Gate) -> Iterator[Client]:
    """A server at which requests may wait for some twelve milliseconds of work."""
    with running(settings(small_bundle, max_wait_ms=12), gate.snapshot) as client:
        gate.begun()
        gate.batches.clear()
        yield client
        gate.open.set()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(64) as pool:
        yield pool


def held_up(client: Client, gate: Gate, threads: ThreadPoolExecutor) -> Future[Reply]:
    gate.open.clear()
    first = threads.submit(client.search, "first")
    gate.begun()
    return first


def fill(client: Client, threads: ThreadPoolExecutor) -> list[Future[Reply]]:
    """Searches that wait, as many as may."""
    waiting: list[Future[Reply]] = []
    while True:
        before = client.metric("lurcher_waiting_queries")
        waiting.append(threads.submit(client.search, f"w{len(waiting)}", degrade=False))
        until(
            lambda: waiting[-1].done() or client.metric("lurcher_waiting_queries") > before  # noqa: B023 (asked at once)
        )
        if waiting[-1].done():
            return waiting


def test_who_would_wait_too_long_gets_429_at_once_and_the_others_their_answers(
    crowded: Client, gate: Gate, threads: ThreadPoolExecutor
) -> None:
    first = held_up(crowded, gate, threads)
    *served, refused = fill(crowded, threads)
    assert_problem(refused.result(), 429)
    assert int(refused.result().headers["retry-after"]) >= 1
    assert 1 <= len(served) < 40
    gate.open.set()
    assert [one.result(PATIENCE).status for one in (first, *served)] == [200] * (1 + len(served))
    assert crowded.search("now there is room").json()["degraded"] == []


def test_a_batch_waits_longer_than_a_search(
    crowded: Client, gate: Gate, threads: ThreadPoolExecutor
) -> None:
    first = held_up(crowded, gate, threads)
    waiting = fill(crowded, threads)
    batch = threads.submit(crowded.post, "/v1/search/batch", {"queries": ["x", "y"]})
    until(lambda: crowded.metric("lurcher_waiting_queries") == len(waiting) - 1 + 2)
    gate.open.set()
    assert batch.result(PATIENCE).status == first.result(PATIENCE).status == 200
