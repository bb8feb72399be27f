"""Shards that Ray Serve runs, as an ingress asks them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import get_args

import structlog
from prometheus_client import Counter
from ray.serve.handle import DeploymentHandle

from lurcher.cluster.hedging import Hedging, Outcome, first_reply
from lurcher.cluster.messages import Reply, Request

_log = structlog.get_logger()

# Characters of an error in the log.
_SHOWN = 200


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
        def failed(task: asyncio.Task[Reply]) -> None:
            # Any error: of a replica that died or is at fault. What is asked changes nothing there.
            reason = "cancelled" if task.cancelled() else repr(task.exception())[:_SHOWN]
            _log.warning("a replica failed", shard=number, reason=reason)

        reply = await first_reply(
            partial(_sent, self._handles[number], request), until,
            (number, type(request.works[0])), self._hedging, has_second=self._has_second, failed=failed,
        )  # fmt: skip
        if reply is None and self._hedging.clock() >= until:
            _log.warning("a shard is late", shard=number)
        return reply


async def _sent(handle: DeploymentHandle, request: Request) -> Reply:
    """The reply to ``request``, of a replica that Serve chooses: of one that has less to do than others."""
    response = handle.answer.remote(request)
    try:
        reply: Reply = await response
    except asyncio.CancelledError:
        response.cancel()
        raise
    return reply
