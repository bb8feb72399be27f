"""A bundle that another process writes, followed while it is served: a thread looks again and again."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import CancelledError

import structlog

from lurcher.bundle.bundle import Bundle
from lurcher.errors import NotReady
from lurcher.index_builder.edit.follower import Follower
from lurcher.server.visible import Visible
from lurcher.threads import lower_priority

_log = structlog.get_logger()

# After an error it looks again so many seconds later.
_TRY_AGAIN = 1.0


class Following:
    """Makes searches use what ``follower`` sees; make it where an event loop runs."""

    def __init__(
        self, follower: Follower, publish: Callable[[Bundle], Awaitable[None]],
        forget: Callable[[Collection[str]], object], seconds: float,
    ) -> None:  # fmt: skip
        """Look every so many ``seconds``, and let ``publish`` make searches use each new state.

        ``forget`` is told passages of which what was judged counts no more.
        """
        self._follower, self._publish, self._forget = follower, publish, forget
        self._seconds = seconds
        self.visible = Visible(follower.sequence)
        self._wake, self._stopping = threading.Event(), False
        self._asked: list[asyncio.Future[None]] = []  # to look now
        self._loop = asyncio.get_running_loop()
        self._failed = ""  # the last error, told once
        self._thread = threading.Thread(target=self._work, name="follower", daemon=True)
        self._thread.start()

    async def look(self) -> None:
        """Look now, and return when searches use what there is."""
        if not self._thread.is_alive():
            return
        done = self._loop.create_future()
        self._asked.append(done)
        self._wake.set()
        await done

    async def stop(self) -> None:
        """Look no more, and let go of the bundle."""
        self._stopping = True
        self._wake.set()
        await asyncio.to_thread(self._thread.join)
        self._follower.abandon()

    def _work(self) -> None:
        lower_priority()
        published = True
        pause = self._seconds
        while True:
            self._wake.wait(pause)
            self._wake.clear()
            asked, self._asked = self._asked, []
            if self._stopping:
                break
            try:
                published = not self._follower.poll() and published
                if not published:
                    self._show()
                    published = True
            except (NotReady, CancelledError):  # the server stops
                break
            # Whatever it is: searches go on with what they have.
            except Exception as error:
                self._tell(error)
                pause = _TRY_AGAIN
            else:
                self._failed, pause = "", self._seconds
            self._loop.call_soon_threadsafe(_answer, asked)
        self._loop.call_soon_threadsafe(_answer, [*asked, *self._asked])

    def _show(self) -> None:
        """Make searches use what the follower has, and return when they do."""

        async def show(bundle: Bundle, sequence: int, forgotten: set[str]) -> None:
            self._forget(forgotten)
            await self._publish(bundle)
            self.visible.show(sequence)

        follower = self._follower
        showing = show(follower.reader(), follower.sequence, follower.take_forgotten())
        asyncio.run_coroutine_threadsafe(showing, self._loop).result()

    def _tell(self, error: Exception) -> None:
        if self._failed != str(error):
            self._failed = str(error)
            _log.error("the bundle cannot be followed; searches use what they have", exc_info=error)


def _answer(asked: list[asyncio.Future[None]]) -> None:
    for one in asked:
        if not one.done():
            one.set_result(None)
