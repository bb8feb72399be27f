"""Feedback that another process takes: searches of this one learn what its log says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress

import structlog

from lurcher.feedback.followed_log import FollowedLog
from lurcher.feedback.online import Change
from lurcher.feedback.state import FeedbackState

_log = structlog.get_logger()

# Seconds between two looks at the log, and after an error.
_PAUSE, _TRY_AGAIN = 0.1, 5.0


class Learning:
    """Tells ``learn`` what changes in ``log``; make it where an event loop runs."""

    def __init__(
        self, state: FeedbackState, log: FollowedLog,
        learn: Callable[[Sequence[Change]], Awaitable[None]],
    ) -> None:  # fmt: skip
        """``state`` has what searches have learnt from ``log`` so far."""
        self._state, self._log, self._learn = state, log, learn
        self._untold: list[Change] = []
        self._forgotten: set[str] = set()
        self._task = asyncio.create_task(self._work())

    @property
    def counted(self) -> int:
        """How many pairs count in searches beside the bundle."""
        return self._state.counts.counted

    def forget(self, passages: Collection[str]) -> None:
        """Let what was judged of ``passages`` count no more, from the next look at the log on."""
        self._forgotten.update(passages)

    async def stop(self) -> None:
        """Learn no more, and close the log."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._log.close()

    async def _work(self) -> None:
        pause = _PAUSE
        while True:
            await asyncio.sleep(pause)
            try:
                forgotten, self._forgotten = self._forgotten, set()
                self._untold += await asyncio.to_thread(self._changes, forgotten)
                if self._untold:
                    await self._learn(self._untold)
                    self._untold = []
                pause = _PAUSE
            # Whatever it is: searches go on with what they have learnt.
            except Exception as error:
                _log.error("feedback of another process cannot be learnt", reason=str(error))
                pause = _TRY_AGAIN

    def _changes(self, forgotten: set[str]) -> list[Change]:
        changes = self._state.forget(forgotten)
        return changes + [change for one in self._log.new() for change in self._state.follow(one)]
