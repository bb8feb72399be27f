"""What all workers have seen: the least of those that run."""

from __future__ import annotations

import asyncio
from pathlib import Path

from lurcher.server.workers.seen import Seen


def test_nobody_waits_for_a_worker_that_does_not_run(tmp_path: Path) -> None:
    seen = Seen(tmp_path, 3)
    seen.note("docs", 0, 7)
    assert seen.least("docs") == 7
    seen.note("docs", 2, 5)
    seen.note("other", 1, 1)
    assert (seen.least("docs"), seen.least("other")) == (5, 1)
    seen.forget(2)
    assert seen.least("docs") == 7


def test_a_write_is_waited_for_until_all_know_it(tmp_path: Path) -> None:
    seen = Seen(tmp_path, 2)
    seen.note("docs", 0, 2)
    seen.note("docs", 1, 1)

    async def wait() -> list[bool]:
        late = await seen.reached("docs", 2, 0.0)
        waiting = asyncio.create_task(seen.reached("docs", 2, 30.0))
        await asyncio.sleep(0)
        seen.note("docs", 1, 2)
        return [late, await waiting]

    assert asyncio.run(wait()) == [False, True]
