"""Requests sent at random moments at a given mean rate, whatever becomes of those before: an open loop.

Each one's latency is counted from the moment at which it should have been sent. A client that waits for a
reply before it sends the next one would spare a slow server the very requests that would have waited
(coordinated omission).
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np

Address = tuple[str, int]

_FEW_REFUSED = 0.01
_PATIENCE = 60.0  # seconds for a reply
# What an exchange may end with that is no reply.
BROKEN = (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError)


@dataclass(frozen=True, slots=True)
class Sent:
    """The bytes of a request, and of which kind it is."""

    kind: str
    content: bytes


@dataclass(slots=True)
class Outcome:
    """What became of the requests of one rate, in milliseconds from when each should have been sent."""

    rate: float  # requests a second that were to be sent
    seconds: float
    served: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)  # 429
    failed: int = 0  # any other reply, or none
    degraded: int = 0

    @property
    def sent(self) -> int:
        """How many requests were sent."""
        return len(self.served) + len(self.refused) + self.failed

    def percentile(self, share: float) -> float:
        """Of the latencies of what was served; infinite where nothing was."""
        return float(np.percentile(self.served, share)) if self.served else float("inf")

    def carries(self, limit: float) -> bool:
        """Whether nearly all were served, 99 % of them within ``limit`` milliseconds."""
        lost = len(self.refused) + self.failed
        return lost <= _FEW_REFUSED * self.sent and self.percentile(99) <= limit


class Connections:
    """Connections that are kept for the next request; as many as run side by side."""

    def __init__(self, address: Address, source: str = "") -> None:
        """Connect to ``address``, from the address ``source`` of this machine if one is given."""
        self._address, self._source = address, (source, 0) if source else None
        self._free: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()
        self._closing: list[asyncio.StreamWriter] = []

    async def post(self, request: bytes) -> tuple[int, bytes]:
        """The status and body of the reply. Raises one of BROKEN where there is none that can be read."""
        status, _, body = await self.exchange(request)
        return status, body

    async def exchange(self, request: bytes) -> tuple[int, list[bytes], bytes]:
        """The status, the headers in lower case, and the body of the reply. Raises one of BROKEN."""
        reader, writer = await self._connection()
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            status, *lines = head.lower().split(b"\r\n")
            lengths = [int(line[15:]) for line in lines if line.startswith(b"content-length:")]
            if len(lengths) != 1:
                raise EOFError("a reply without its length")
            body = await reader.readexactly(lengths[0])
        except BaseException:
            self._closing.append(writer)
            raise
        if b"connection: close" in lines:
            self._closing.append(writer)
        else:
            self._free.append((reader, writer))
        return int(status.split()[1]), lines, body

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """One that is free and that the server has not closed, or a new one."""
        while self._free:
            reader, writer = self._free.pop()
            if not reader.at_eof():
                return reader, writer
            self._closing.append(writer)
        return await asyncio.open_connection(*self._address, local_addr=self._source)

    async def close(self) -> None:
        """Close them; none is in use any more."""
        for writer in (*self._closing, *(writer for _, writer in self._free)):
            writer.close()
            with suppress(OSError):  # the server was faster
                await writer.wait_closed()


def request_of(
    document: dict[str, Any], key: str | None, host: str = "localhost", path: str = "/v1/search",
    method: str = "POST",
) -> bytes:  # fmt: skip
    """The bytes of a request with the JSON ``document``, to a server that is called ``host``."""
    body = json.dumps(document).encode()
    allowed = f"Authorization: Bearer {key}\r\n" if key else ""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{allowed}"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def offer(
    address: Address,
    requests: Sequence[Sent],
    rate: float,
    seconds: float,
    source: str = "",
    seed: int = 0,
) -> dict[str, Outcome]:
    """What becomes of ``requests``, again and again, ``rate`` a second for so many ``seconds``, by kind.

    They come from the address ``source`` of this machine, if one is given.
    """
    count = max(1, round(rate * seconds))
    sent = [requests[number % len(requests)] for number in range(count)]
    kinds = Counter(one.kind for one in sent)
    outcomes = {kind: Outcome(rate * some / count, seconds) for kind, some in kinds.items()}
    connections = Connections(address, source)

    async def send(number: int, due: float) -> None:
        request = sent[number]
        outcome = outcomes[request.kind]
        try:
            status, body = await asyncio.wait_for(connections.post(request.content), _PATIENCE)
        except BROKEN:
            outcome.failed += 1
            return
        spent = (perf_counter() - due) * 1_000
        if status == 200:
            outcome.served.append(spent)
            outcome.degraded += b'"degraded":["' in body
        elif status == 429:
            outcome.refused.append(spent)
        else:
            outcome.failed += 1

    start = perf_counter()
    await at_random(send, count, rate, seed)
    spent = perf_counter() - start
    await connections.close()
    return {kind: replace(outcome, seconds=spent) for kind, outcome in outcomes.items()}


async def at_random(
    send: Callable[[int, float], Coroutine[Any, Any, None]], count: int, rate: float, seed: int = 0
) -> None:
    """Begin ``send`` with its number and when it is due ``count`` times, ``rate`` a second; wait for all."""
    due_times = np.cumsum(np.random.default_rng(seed).exponential(1 / rate, count))
    start = perf_counter()
    tasks = []
    for number, due in enumerate((start + due_times).tolist()):
        wait = due - perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(send(number, due)))
    await asyncio.gather(*tasks)


def together(outcomes: Collection[Outcome]) -> Outcome:
    """Those of all kinds of one rate as one."""
    return Outcome(
        sum(one.rate for one in outcomes), max(one.seconds for one in outcomes),
        [ms for one in outcomes for ms in one.served], [ms for one in outcomes for ms in one.refused],
        sum(one.failed for one in outcomes), sum(one.degraded for one in outcomes),
    )  # fmt: skip
