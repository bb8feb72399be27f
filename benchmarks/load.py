"""``lurcher load BUNDLE|URL``: how many requests a second a server carries, and what happens beyond."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from lurcher.benchmarks.copies import copy_of
from lurcher.benchmarks.mixes import WRITE, drawn, mix_of
from lurcher.benchmarks.open_loop import (
    BROKEN,
    Address,
    Connections,
    Outcome,
    Sent,
    offer,
    request_of,
    together,
)
from lurcher.benchmarks.server import memory, running_server
from lurcher.errors import FieldError, ServiceError
from lurcher.evaluation.judgements import read_queries

# What became of the requests of one rate, by kind.
Outcomes = dict[str, Outcome]

_WARM_UP = 50
_FIRST_RATE = 16.0  # requests a second
_STEPS = 4  # of narrowing down, once a rate was too high
# What is offered of the capacity afterwards, to see how the server behaves below it and beyond.
_SHARES = (0.1, 0.5, 0.8, 1.0, 2.0, 5.0)
# And when it is over: of the capacity, in each of so many seconds.
_AFTERWARDS, _SECONDS_AFTER = 0.5, 4
_FIRST_PATIENCE = 15.0  # for the first reply, which tells whether this is a server of searches


async def check_search(address: Address, request: bytes) -> None:
    """Raise ServiceError, with what the server says, unless it answers ``request`` as a search."""
    host, port = address
    where, connections = f"http://{host}:{port}", Connections(address)
    try:
        async with asyncio.timeout(_FIRST_PATIENCE):
            status, body = await connections.post(request)
    except TimeoutError as error:
        raise ServiceError(f"{where} gave no reply within {_FIRST_PATIENCE:.0f} s") from error
    except BROKEN as error:
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
    address: Address, requests: Sequence[Sent], limit: float, seconds: float
) -> list[Outcomes]:
    """Outcomes of rising rates up to what the server cannot carry, and of some between; sorted by rate."""
    tried: list[Outcomes] = []

    def carries(rate: float) -> bool:
        tried.append(asyncio.run(offer(address, requests, rate, seconds)))
        return together(tried[-1].values()).carries(limit)

    low, high = 0.0, _FIRST_RATE
    while carries(high):
        low, high = high, 2 * high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if carries(middle):
            low = middle
        else:
            high = middle
    return sorted(tried, key=lambda one: together(one.values()).rate)


def main(
    server: Annotated[str, typer.Argument(help="A bundle, to serve it, or the URL of a server.")],
    queries: Annotated[Path, typer.Option(help="queries.jsonl, sent in order, again and again.")],
    p99: Annotated[float, typer.Option(min=0.1, help="Milliseconds that 99 % must keep.")] = 100.0,
    seconds: Annotated[float, typer.Option(min=0.5, help="Seconds a rate.")] = 10.0,
    options: Annotated[
        str, typer.Option(help='Fields of each search, as JSON: {"rank": "off"}.')
    ] = "{}",
    mix: Annotated[
        str,
        typer.Option(
            help="Kinds of requests and their parts: search, unranked, reader, answer, and for a bundle "
            "write, into a copy of it."
        ),
    ] = "search=1",
    key: Annotated[str | None, typer.Option(help="An API key.", envvar="LURCHER_KEY")] = None,
) -> None:
    """Find the highest rate of requests at which 99 % are answered in time, and look beyond it."""
    texts, shares = list(read_queries(queries).values()), mix_of(mix)
    try:
        fields = {**json.loads(options)}
    except (ValueError, TypeError) as error:
        raise FieldError("options", f"{options!r} is no JSON object: {error}") from error
    with _running(server, writes=WRITE in shares) as (address, process):
        host = _host_of(address)
        asyncio.run(check_search(address, request_of({"query": texts[0], **fields}, key, host)))
        requests = drawn(shares, texts, fields, key, host)
        warm = asyncio.run(offer(address, requests[:_WARM_UP], _FIRST_RATE, 2.0))
        if not together(warm.values()).served:
            raise ServiceError(f"{server} answered the first search and none after it")
        tried = capacity(address, requests, p99, seconds)
        every = [together(one.values()) for one in tried]
        carried = max((one.rate for one in every if one.carries(p99)), default=0.0)
        console = Console()
        console.print(_table(tried, p99))
        if not carried:
            console.print(f"It carries no rate with a p99 of {p99:g} ms.")
            return
        console.print(f"It carries {carried:.0f} requests a second with a p99 of {p99:g} ms.\n")
        before = None if process is None else memory(process)
        beyond = [
            asyncio.run(offer(address, requests, share * carried, seconds)) for share in _SHARES
        ]
        after = [
            asyncio.run(offer(address, requests, _AFTERWARDS * carried, 1.0))
            for _ in range(_SECONDS_AFTER)
        ]
        console.print(_table(beyond, p99))
        console.print("\nAfter the last of these, second by second:")
        console.print(_table(after, p99))
        if process is not None and before and (now := memory(process)):
            console.print(
                f"\nMemory of the server that it shares with no other: {before[1]:.0f} MiB before these "
                f"rates, {now[1]:.0f} after them.", highlight=False,
            )  # fmt: skip


@contextmanager
def _running(server: str, *, writes: bool) -> Iterator[tuple[Address, int | None]]:
    """The address of ``server``, which runs, and its process if this one has started it.

    Raises FieldError for a URL that is none, or that would be written to, and ServiceError.
    """
    if "://" in server:
        if writes:
            raise FieldError(
                "mix", "a server's passages stay as they are; name a bundle to write to"
            )
        yield _address_of(server), None
        return
    with ExitStack() as stack:
        path = stack.enter_context(copy_of(Path(server))) if writes else Path(server)
        flags = ("--writable",) if writes else ()
        address, process = stack.enter_context(running_server(path, *flags))
        yield address, process.pid


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


def _table(rates: Sequence[Outcomes], limit: float) -> Table:
    """A row for each kind of each of ``rates``."""
    mixed = any(len(one) > 1 for one in rates)
    table = Table(
        *(["kind"] if mixed else []), "offered/s", "served/s", "p50 ms", "p95", "p99", "refused",
        "429 p99 ms", "degraded", "failed", f"p99 <= {limit:g} ms",
    )  # fmt: skip
    for outcomes in rates:
        for kind, one in outcomes.items():
            table.add_row(*([kind] if mixed else []), *_row(one, limit))
        if mixed:
            table.add_row("all", *_row(together(outcomes.values()), limit), end_section=True)
    return table


def _row(one: Outcome, limit: float) -> list[str]:
    return [
        f"{one.rate:.0f}", f"{len(one.served) / one.seconds:.0f}",
        *(f"{one.percentile(share):.1f}" for share in (50, 95, 99)),
        f"{len(one.refused) / one.sent:.1%}",
        f"{np.percentile(one.refused, 99):.1f}" if one.refused else "",
        f"{one.degraded / one.sent:.1%}", str(one.failed), "yes" if one.carries(limit) else "no",
    ]  # fmt: skip
