"""``lurcher load BUNDLE|URL``: how many searches a second a server carries, and what happens beyond.

Requests are sent at random moments at a given mean rate, whatever becomes of those before (an open loop), and
each one's latency is counted from the moment at which it should have been sent. A client that waits for a
reply before it sends the next one would spare a slow server the very requests that would have waited
(coordinated omission).
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any
from urllib.parse import urlsplit

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from lurcher.benchmarks.server import running_server
from lurcher.errors import FieldError, ServiceError
from lurcher.evaluation.judgements import read_queries

Address = tuple[str, int]

_WARM_UP = 50
_FIRST_RATE = 16.0  # requests a second
_STEPS = 4  # of narrowing down, once a rate was too high
_FEW_REFUSED = 0.01
# What is offered of the capacity afterwards, to see how the server behaves below it and beyond.
_SHARES = (0.1, 0.5, 0.8, 1.0, 2.0, 5.0)
_PATIENCE = 60.0  # seconds for a reply
_FIRST_PATIENCE = 15.0  # for the first one, which tells whether this is a server of searches
_BROKEN = (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError)


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

    def __init__(self, address: Address) -> None:
        self._address = address
        self._free: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()
        self._closing: list[asyncio.StreamWriter] = []

    async def post(self, request: bytes) -> tuple[int, bytes]:
        """The status and body of the reply. Raises one of _BROKEN where there is none that can be read."""
        try:
            reader, writer = self._free.pop()
        except IndexError:
            reader, writer = await asyncio.open_connection(*self._address)
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
        return int(status.split()[1]), body

    async def close(self) -> None:
        """Close them; none is in use any more."""
        for writer in (*self._closing, *(writer for _, writer in self._free)):
            writer.close()
            with suppress(OSError):  # the server was faster
                await writer.wait_closed()


def request_of(document: dict[str, Any], key: str | None, host: str = "localhost") -> bytes:
    """The bytes of a search with the JSON ``document``, on a server that is called ``host``."""
    body = json.dumps(document).encode()
    allowed = f"Authorization: Bearer {key}\r\n" if key else ""
    head = (
        f"POST /v1/search HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{allowed}"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def offer(
    address: Address, requests: Sequence[bytes], rate: float, seconds: float, seed: int = 0
) -> Outcome:
    """What becomes of ``requests``, again and again, ``rate`` a second for so many ``seconds``."""
    rng = np.random.default_rng(seed)
    gaps = rng.exponential(1 / rate, max(1, round(rate * seconds)))
    connections, outcome = Connections(address), Outcome(rate, seconds)

    async def send(request: bytes, due: float) -> None:
        try:
            status, body = await asyncio.wait_for(connections.post(request), _PATIENCE)
        except _BROKEN:
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
    tasks = []
    for number, due in enumerate((start + np.cumsum(gaps)).tolist()):
        wait = due - perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(send(requests[number % len(requests)], due)))
    await asyncio.gather(*tasks)
    outcome.seconds = perf_counter() - start
    await connections.close()
    return outcome


async def check_search(address: Address, request: bytes) -> None:
    """Raise ServiceError, with what the server says, unless it answers ``request`` as a search."""
    host, port = address
    where, connections = f"http://{host}:{port}", Connections(address)
    try:
        async with asyncio.timeout(_FIRST_PATIENCE):
            status, body = await connections.post(request)
    except TimeoutError as error:
        raise ServiceError(f"{where} gave no reply within {_FIRST_PATIENCE:.0f} s") from error
    except _BROKEN as error:
        raise ServiceError(f"{where} gave no reply: {error}") from error
    finally:
        await connections.close()
    try:
        reply = json.loads(body)
    except ValueError:
        reply = None
    if not isinstance(reply, dict) or (status == 200 and "hits" not in reply):
        raise ServiceError(f"{where} is no server of Lurcher's: it answered a search with {status}")
    if status not in (200, 429):
        raise ServiceError(
            f"{where} answered {status}: {reply.get('detail', reply)}; see --options and --key"
        )


def capacity(
    address: Address, requests: Sequence[bytes], limit: float, seconds: float
) -> list[Outcome]:
    """Outcomes of rising rates up to what the server cannot carry, and of some between; sorted by rate."""
    tried: list[Outcome] = []

    def carries(rate: float) -> bool:
        tried.append(asyncio.run(offer(address, requests, rate, seconds)))
        return tried[-1].carries(limit)

    low, high = 0.0, _FIRST_RATE
    while carries(high):
        low, high = high, 2 * high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if carries(middle):
            low = middle
        else:
            high = middle
    return sorted(tried, key=lambda one: one.rate)


def main(
    server: Annotated[str, typer.Argument(help="A bundle, to serve it, or the URL of a server.")],
    queries: Annotated[Path, typer.Option(help="queries.jsonl, sent in order, again and again.")],
    p99: Annotated[float, typer.Option(min=0.1, help="Milliseconds that 99 % must keep.")] = 100.0,
    seconds: Annotated[float, typer.Option(min=0.5, help="Seconds a rate.")] = 10.0,
    options: Annotated[
        str, typer.Option(help='Fields of each search, as JSON: {"rank": "off"}.')
    ] = "{}",
    key: Annotated[str | None, typer.Option(help="An API key.", envvar="LURCHER_KEY")] = None,
) -> None:
    """Find the highest rate of searches at which 99 % are answered in time, and look beyond it."""
    texts = list(read_queries(queries).values())
    try:
        documents = [{"query": text, **json.loads(options)} for text in texts]
    except (ValueError, TypeError) as error:
        raise FieldError("options", f"{options!r} is no JSON object: {error}") from error
    with _running(server) as address:
        requests = [request_of(document, key, _host_of(address)) for document in documents]
        asyncio.run(check_search(address, requests[0]))
        warm = asyncio.run(offer(address, requests[:_WARM_UP], _FIRST_RATE, 2.0))
        if not warm.served:
            raise ServiceError(f"{server} answered the first search and none after it")
        tried = capacity(address, requests, p99, seconds)
        carried = max((one.rate for one in tried if one.carries(p99)), default=0.0)
        console = Console()
        console.print(_table(tried, p99))
        if not carried:
            console.print(f"It carries no rate with a p99 of {p99:g} ms.")
            return
        console.print(f"It carries {carried:.0f} searches a second with a p99 of {p99:g} ms.\n")
        beyond = [
            asyncio.run(offer(address, requests, share * carried, seconds)) for share in _SHARES
        ]
        console.print(_table(beyond, p99))


@contextmanager
def _running(server: str) -> Iterator[Address]:
    """The address of ``server``, which runs. Raises FieldError for a URL that is none, ServiceError."""
    if "://" in server:
        yield _address_of(server)
    else:
        with running_server(Path(server)) as (address, _):
            yield address


def _address_of(server: str) -> Address:
    """The host and port of the URL ``server``. Raises FieldError."""
    try:
        url = urlsplit(server)
        host, port = url.hostname, url.port or 80
    except ValueError:  # no port, or no address
        host, port = None, 0
    if not host or server.rstrip("/") != f"http://{url.netloc}" or "@" in server:
        raise FieldError("server", f"{server!r} is not http://HOST:PORT")
    return host, port


def _host_of(address: Address) -> str:
    """What stands in `Host`."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _table(outcomes: Sequence[Outcome], limit: float) -> Table:
    table = Table(
        "offered/s", "served/s", "p50 ms", "p95", "p99", "refused", "429 p99 ms", "degraded", "failed",
        f"p99 <= {limit:g} ms",
    )  # fmt: skip
    for one in outcomes:
        refused = f"{np.percentile(one.refused, 99):.1f}" if one.refused else ""
        table.add_row(
            f"{one.rate:.0f}", f"{len(one.served) / one.seconds:.0f}",
            *(f"{one.percentile(share):.1f}" for share in (50, 95, 99)),
            f"{len(one.refused) / one.sent:.1%}", refused, f"{one.degraded / one.sent:.1%}",
            str(one.failed), "yes" if one.carries(limit) else "no",
        )  # fmt: skip
    return table
