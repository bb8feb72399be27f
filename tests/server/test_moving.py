"""A server goes on to the next snapshot of its bundle while it answers."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import numpy as np
import pytest

from lurcher.benchmarks.segments import taken
from lurcher.bundle.bundle import Bundle
from lurcher.bundle.row_space import Mask
from lurcher.errors import NotReady
from lurcher.feedback.online import Change
from lurcher.retrieval.query import Query
from lurcher.retrieval.results import SearchResult
from lurcher.server.service import Service
from lurcher.server.serving import Serving
from tests.server.admission.batches import STAYS
from tests.server.serving import settings

CAT = Query("a sleeping cat", 60, rank="off", retrieve="dense")
OPEN = 60


async def found(serving: Serving, query: Query = CAT) -> list[str]:
    ((result, _),) = await serving.search([query], None, STAYS)  # type: ignore[misc] # no error
    assert isinstance(result, SearchResult)
    return [hit.id for hit in result.hits]


def only(deleted: int) -> Mask:
    return np.arange(OPEN) == deleted


def test_requests_are_answered_from_the_snapshot_that_they_leased(small_bundle: Path) -> None:
    async def run() -> None:
        service = Service(settings(small_bundle))
        await service.load()
        collection = service.collections.default
        with collection.lease() as old:
            whole = old.passages.get(range(OPEN))
            bundle = Bundle.open(small_bundle)
            await collection.move_to(bundle.with_segments(bundle.segments, [only(7)]))
            bundle.close()
            with collection.lease() as new:
                assert new is not old
                both = await asyncio.gather(found(old), found(new), found(old), found(new))
            ids = {passage.id for passage in whole}
            assert [set(one) for one in both] == [ids, ids - {whole[7].id}] * 2
        with pytest.raises(NotReady), old:
            pass
        await service.close()

    asyncio.run(run())


@pytest.mark.parametrize("moves", [30, pytest.param(200, marks=pytest.mark.nightly)])
def test_moves_leave_nothing_open(small_bundle: Path, moves: int) -> None:
    """While searches go on: each reply is of one snapshot, and snapshots are closed one by one."""

    async def run() -> None:
        service = Service(settings(small_bundle))
        await service.load()
        collection = service.collections.default
        base = Bundle.open(small_bundle)
        ids = [passage.id for passage in base.passages.get(range(OPEN))]
        closed: list[int] = []
        done = asyncio.Event()

        async def search() -> int:
            asked = 0
            while not done.is_set():
                with collection.lease() as serving:
                    there = serving.passages.rows_of(ids).keys()
                    assert set(await found(serving)) == there
                    asked += 1
            return asked

        clients = [asyncio.create_task(search()) for _ in range(2)]
        for number in range(moves):
            segment = taken(base.segments[0], [number % OPEN])
            segment.uses.afterwards(lambda number=number: closed.append(number))
            gone = only(number % OPEN) | only(7 * number % OPEN)
            await collection.move_to(base.with_segments([base.segments[0], segment], [gone, None]))
            await asyncio.sleep(0)
        done.set()
        assert all(await asyncio.gather(*clients))
        await service.close()
        assert closed == list(range(moves))
        base.close()

    asyncio.run(run())
    gc.collect()


def test_what_was_learnt_follows_its_passage_and_goes_with_it(small_bundle: Path) -> None:
    query = Query("something that nobody else asks", 5, rank="off", retrieve="dense")

    async def run() -> None:
        service = Service(settings(small_bundle))
        await service.load()
        collection = service.collections.default
        base = Bundle.open(small_bundle)
        ids = [passage.id for passage in base.passages.get(range(OPEN))]
        with collection.lease() as first:
            bundle = Bundle.open(small_bundle)
            await collection.move_to(bundle.with_segments(bundle.segments, [None]))
            bundle.close()
            # The one that is on its way out learns it first.
            await first.learn([Change(query.text, ids[40], 3.0)])
            for serving in (first, collection.lease()):
                assert (await found(serving, query))[0] == ids[40]
        # It lies in another segment now.
        segment = taken(base.segments[0], [40])
        moved = base.with_segments([segment, base.segments[0]], [None, only(40)])
        await collection.move_to(moved)
        with collection.lease() as second:
            assert (await found(second, query))[0] == ids[40]
            # Whichever snapshot learns, the next one knows.
            await second.learn([Change(query.text, ids[12], 9.0)])
            assert (await found(second, query))[0] == ids[12]
        await collection.move_to(base.with_segments(base.segments, [only(12)]))
        with collection.lease() as third:
            assert (await found(third, query))[0] == ids[40]
            assert ids[12] not in await found(third, query)
        await collection.move_to(base.with_segments(base.segments, [None]))
        with collection.lease() as fourth:
            assert (await found(fourth, query))[0] == ids[12]
        await service.close()
        base.close()

    asyncio.run(run())
