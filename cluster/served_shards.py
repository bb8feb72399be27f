"""Shards and their writers that Ray Serve runs, as an ingress asks them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import get_args

import structlog
from prometheus_client import Counter
from ray.exceptions import RayError
from ray.serve.handle import DeploymentHandle

from lurcher.cluster.hedging import Hedging, Outcome, first_reply
from lurcher.cluster.messages import Reply, Request, ToWrite, Wrote, is_gone
from lurcher.errors import NotReady

_log = structlog.get_logger()

# Characters of an error in the log.
_SHOWN = 200
# Seconds for a write, in which a writer that dies is started again and has read its log.
_WRITE_SECONDS = 60.0
# Between two tries of one that has died.
_AGAIN_SECONDS = 0.5


class ServedShards:
    """Shards behind the handles of their deployments; make it in the event loop that serves requests."""

    def __init__(self, handles: list[DeploymentHandle], has_second: bool) -> None:
        """``has_second``: every shard has at least two replicas."""
        self._handles, self._has_second = handles, has_second
        self._loop = asyncio.get_running_loop()
        self.hedged = Counter(
            "lurcher_hedged_requests", "Requests to shards that were sent to a second replica.",
            ["reply"], registry=None,
        )  # fmt: skip
        for outcome in get_args(Outcome):
            self.hedged.labels(outcome)
        self._hedging = Hedging(lambda outcome: self.hedged.labels(outcome).inc())

    def ask(self, requests: Mapping[int, Request], seconds: float) -> Mapping[int, Reply]:
        """As ``Shards.ask``; where a replica fails or is slow, another is asked while there is time."""
        return asyncio.run_coroutine_threadsafe(self._ask(requests, seconds), self._loop).result()

    async def _ask(self, requests: Mapping[int, Request], seconds: float) -> dict[int, Reply]:
        until = self._hedging.clock() + seconds
        replies = await asyncio.gather(
            *(self._reply(number, request, until) for number, request in requests.items())
        )
        found = zip(requests, replies, strict=True)
        return {number: reply for number, reply in found if reply is not None}

    async def _reply(self, number: int, request: Request, until: float) -> Reply | None:
        gone: list[Reply] = []  # of another replica than that which has the state

        def failed(task: asyncio.Task[Reply]) -> None:
            if not task.cancelled() and isinstance(error := task.exception(), _OtherState):
                gone.append(error.reply)
                return
            # Any error: of a replica that died or is at fault. What is asked changes nothing there.
            reason = "cancelled" if task.cancelled() else repr(task.exception())[:_SHOWN]
            _log.warning("a replica failed", shard=number, reason=reason)

        reply = await first_reply(
            partial(_sent, self._handles[number], request), until,
            (number, type(request.works[0])), self._hedging, has_second=self._has_second, failed=failed,
        )  # fmt: skip
        if reply is None and self._hedging.clock() >= until:
            _log.warning("a shard is late", shard=number)
        return reply or (gone[0] if gone else None)


async def _sent(handle: DeploymentHandle, request: Request) -> Reply:
    """The reply to ``request``, of a replica that Serve chooses: of one that has less to do than others."""
    response = handle.answer.remote(request)
    try:
        reply: Reply = await response
    except asyncio.CancelledError:
        response.cancel()
        raise
    if is_gone(request, reply):
        raise _OtherState(reply)
    return reply


class _OtherState(Exception):
    """A replica does not have the state that was asked for; another may."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        super().__init__(reply.state)


class ServedWriters:
    """Writers behind the handles of their deployments."""

    def __init__(self, handles: list[DeploymentHandle]) -> None:
        self._handles = handles

    async def ask(self, requests: Mapping[int, ToWrite]) -> dict[int, Wrote]:
        """As ``Writers.ask``; a writer that died is asked again when it is back, as it knows what it did."""
        replies = await asyncio.gather(
            *(self._reply(number, request) for number, request in requests.items())
        )
        return dict(zip(requests, replies, strict=True))

    async def _reply(self, number: int, request: ToWrite) -> Wrote:
        with suppress(TimeoutError):
            async with asyncio.timeout(_WRITE_SECONDS):
                while True:
                    try:
                        reply: Wrote = await self._handles[number].answer.remote(request)
                    except RayError as error:
                        _log.warning("a writer failed", shard=number, reason=repr(error)[:_SHOWN])
                        await asyncio.sleep(_AGAIN_SECONDS)
                    else:
                        return reply
        state = "it has written nothing"
        if request.until != "check":
            state = "whether it has written is not known"
        unknown = NotReady(
            f"shard {number} has not answered within {_WRITE_SECONDS:.0f} s, and {state}: send the request "
            "again, with the same Idempotency-Key if it had one"
        )
        return Wrote(unknown, 0)
