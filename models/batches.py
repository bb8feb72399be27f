"""Batches of a model's work: some at a time on a pool, with places between them where others may go first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

# Called where a long piece of work can be left for a while; it returns when the work may go on.
Pause = Callable[[], None]


def run_batches(
    work: Callable[[list[int]], None], batches: Sequence[list[int]], pool: ThreadPoolExecutor | None,
    threads: int, pause: Pause | None = None,
) -> None:  # fmt: skip
    """Call ``work`` with each of ``batches``, up to ``threads`` at a time on ``pool``; None: on this thread.

    ``pause`` is called on this thread while no batch runs, each time before as many as there are threads.
    """
    step = len(batches) if pause is None else threads
    for first in range(0, len(batches), max(1, step)):
        if pause is not None:
            pause()
        some = batches[first : first + step]
        if pool is None or len(some) == 1:
            for batch in some:
                work(batch)
        else:
            list(pool.map(work, some))
