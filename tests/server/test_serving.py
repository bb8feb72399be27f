"""Leases: a bundle stays open for the requests that have one, whatever takes its place."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.errors import LurcherError, NotReady
from lurcher.retrieval.query import Query
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from lurcher.server.admission.admission import Admission
from lurcher.server.metrics import Metrics
from lurcher.server.opening import OpenSnapshot
from lurcher.server.service import Service
from lurcher.server.serving import Serving
from tests.server.admission.batches import STAYS
from tests.server.serving import Gate, settings

Found = list[tuple[SearchResult, float] | LurcherError]


class Closing:
    """Counts how often the files of a bundle were closed."""

    def __init__(self, bundle: Bundle) -> None:
        self.closed = 0
        bundle.segments[0].uses.afterwards(self._count)

    def _count(self) -> None:
        self.closed += 1


def serve(
    path: Path, use: Callable[[Serving, Closing, Admission], Awaitable[None]],
    open_snapshot: OpenSnapshot = Snapshot,
) -> None:  # fmt: skip
    """Let ``use`` have a bundle in service, and what counts its closes."""

    async def run() -> None:
        bundle = Bundle.open(path)
        passages = Closing(bundle)
        snapshot = open_snapshot(bundle, 1, "onnxruntime")
        admission = Admission(64, 200, 32)
        await use(
            Serving(snapshot, settings(path), Metrics(), admission, "small"), passages, admission
        )
        await admission.stop()
        assert passages.closed == 1

    asyncio.run(run())


def test_a_retired_bundle_stays_open_until_its_last_lease_ends(small_bundle: Path) -> None:
    async def use(serving: Serving, passages: Closing, _: Admission) -> None:
        with ExitStack() as first, ExitStack() as second:
            assert first.enter_context(serving) is serving
            second.enter_context(serving)
            serving.retire()
            assert passages.closed == 0
            first.close()
            assert passages.closed == 0
            assert serving.passages.get([0])[0].id
            second.close()

    serve(small_bundle, use)


def test_without_leases_it_closes_at_once(small_bundle: Path) -> None:
    async def use(serving: Serving, passages: Closing, _: Admission) -> None:
        with serving:
            pass
        assert passages.closed == 0
        serving.retire()

    serve(small_bundle, use)


def test_a_lease_ends_whatever_goes_wrong_in_it(small_bundle: Path) -> None:
    async def use(serving: Serving, passages: Closing, _: Admission) -> None:
        async def fail() -> None:
            with serving:
                serving.retire()
                assert passages.closed == 0
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()

    serve(small_bundle, use)


def test_after_it_was_closed_nothing_is_searched(small_bundle: Path) -> None:
    async def use(serving: Serving, _: Closing, admission: Admission) -> None:
        await admission.stop()
        serving.retire()
        with pytest.raises(NotReady):
            await serving.search([Query("a cat")], None, STAYS)
        with pytest.raises(NotReady), serving:
            pass

    serve(small_bundle, use)


def test_what_was_begun_under_a_lease_is_answered_and_the_rest_refused(small_bundle: Path) -> None:
    gate = Gate()

    async def use(serving: Serving, passages: Closing, admission: Admission) -> None:
        async def close() -> None:
            await admission.stop()
            serving.retire()

        def search(text: str) -> asyncio.Task[Found]:
            return asyncio.create_task(serving.search([Query(text, 3)], None, STAYS))

        with serving:
            gate.open.clear()
            begun = search("a cat")
            await asyncio.to_thread(gate.begun)
            waiting, closing = search("a dog"), asyncio.create_task(close())
            gate.open.set()
            await closing
            ((result, _),) = await begun  # type: ignore[misc]  # an error would not unpack
            assert len(result.hits) == 3
            (refused,) = await waiting
            assert isinstance(refused, NotReady)
            with pytest.raises(NotReady):
                await search("late")
            assert passages.closed == 0
            assert serving.passages.get([0])[0].id

    serve(small_bundle, use, gate.snapshot)
    assert gate.batches == [["a cat"]]


def test_nothing_can_be_leased_before_a_bundle_is_loaded(small_bundle: Path) -> None:
    with pytest.raises(NotReady):
        Service(settings(small_bundle)).collections.default.lease()
