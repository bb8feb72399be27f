"""What a server has to bear: clients that misbehave, and a machine that does.

Each is a function that does its worst to a server for so many seconds, while others ask it.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from lurcher.benchmarks.open_loop import BROKEN, Address

_MANY = 100  # clients of one kind at a time
_IDLE = 2_000
_LARGE = 64 << 20  # bytes
_STEP = 0.05  # seconds between two pieces of what comes slowly


@dataclass
class Victim:
    """A server: its address, its process, the bundle that it serves, and one of its searches.

    ``told_to_end`` is when it was, by `perf_counter`.
    """

    address: Address
    process: int
    bundle: Path  # a link, if bundles are to be swapped
    request: bytes
    told_to_end: float | None = None


Fault = Callable[[Victim, float], Awaitable[None]]


async def vanish(victim: Victim, seconds: float) -> None:
    """Ask, and hang up before the reply comes."""

    async def one() -> None:
        async with _connected(victim) as (_, writer):
            writer.write(victim.request)
            await asyncio.sleep(0.01)

    await _again_and_again(one, seconds)


async def slow_head(victim: Victim, seconds: float) -> None:
    """Send heads, a byte at a time."""
    await _slowly(
        victim, seconds, b"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"a" * 10_000
    )


async def slow_body(victim: Victim, seconds: float) -> None:
    """Send bodies, a byte at a time."""
    head, _, body = victim.request.partition(b"\r\n\r\n")
    await _slowly(victim, seconds, body, head + b"\r\n\r\n")


async def never_read(victim: Victim, seconds: float) -> None:
    """Ask again and again on one connection, and read no reply."""

    async def one() -> None:
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            connection.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(connection, victim.address)
            await loop.sock_sendall(connection, victim.request * 20)
            await asyncio.sleep(seconds)

    await asyncio.gather(*(one() for _ in range(_MANY // 10)), return_exceptions=True)


async def idle(victim: Victim, seconds: float) -> None:
    """Open connections, and ask nothing."""

    async def one() -> None:
        async with _connected(victim):
            await asyncio.sleep(seconds)

    await asyncio.gather(*(one() for _ in range(_IDLE)), return_exceptions=True)


async def half_close(victim: Victim, seconds: float) -> None:
    """Ask, and close the sending half at once."""

    async def one() -> None:
        async with _connected(victim) as (reader, writer):
            writer.write(victim.request)
            writer.write_eof()
            await reader.read()

    await _again_and_again(one, seconds)


async def pipeline(victim: Victim, seconds: float) -> None:
    """Ask twenty times before the first reply is read."""

    async def one() -> None:
        async with _connected(victim) as (reader, writer):
            writer.write(victim.request * 20)
            for _ in range(20):
                await reader.readuntil(b"\r\n\r\n")

    await _again_and_again(one, seconds)


async def large_body(victim: Victim, seconds: float) -> None:
    """Send bodies of 64 MB."""

    async def one() -> None:
        async with _connected(victim) as (_, writer):
            head = (
                b"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            )
            writer.write(head + b"Content-Length: %d\r\n\r\n" % _LARGE)
            for _ in range(_LARGE >> 20):
                writer.write(b" " * (1 << 20))
                await writer.drain()

    await _again_and_again(one, seconds, 2)


async def swap(victim: Victim, seconds: float) -> None:
    """Put an equal bundle in the place of the one that is served, again and again."""
    bundles = sorted(victim.bundle.parent.glob("copy-*"))
    for number in range(int(seconds)):
        link = victim.bundle.with_name("next")
        link.symlink_to(bundles[number % len(bundles)])
        link.rename(victim.bundle)
        os.kill(victim.process, signal.SIGHUP)
        await asyncio.sleep(1)


async def fill_disk(victim: Victim, seconds: float) -> None:
    """Let no file of the server grow any more, its log included, as on a full disk."""
    resource.prlimit(victim.process, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    await asyncio.sleep(seconds)


async def delete(victim: Victim, seconds: float) -> None:
    """Delete all files of the bundle."""
    for file in victim.bundle.resolve().rglob("*"):
        if file.is_file():
            file.unlink()
    await asyncio.sleep(seconds)


async def terminate(victim: Victim, seconds: float) -> None:
    """Stop the server in the middle."""
    await asyncio.sleep(seconds / 2)
    victim.told_to_end = perf_counter()
    os.kill(victim.process, signal.SIGTERM)


async def kill_worker(victim: Victim, seconds: float) -> None:
    """Kill one of the server's processes in the middle."""
    await asyncio.sleep(seconds / 2)
    tasks = Path(f"/proc/{victim.process}/task/{victim.process}/children").read_text().split()
    os.kill(int(tasks[-1]), signal.SIGKILL)


async def nothing(victim: Victim, seconds: float) -> None:  # noqa: ARG001 (as the others)
    """Do nothing: what others ask is load enough."""
    await asyncio.sleep(seconds)


@asynccontextmanager
async def _connected(
    victim: Victim,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that is cut at the end of the block."""
    reader, writer = await asyncio.open_connection(*victim.address)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def _slowly(victim: Victim, seconds: float, content: bytes, first: bytes = b"") -> None:
    """Send ``first``, and ``content`` a byte at a time, on many connections."""

    async def one() -> None:
        async with _connected(victim) as (_, writer):
            writer.write(first)
            for at in range(min(len(content), int(seconds / _STEP))):
                writer.write(content[at : at + 1])
                await asyncio.sleep(_STEP)

    await asyncio.gather(*(one() for _ in range(_MANY)), return_exceptions=True)


async def _again_and_again(
    one: Callable[[], Awaitable[None]], seconds: float, clients: int = 10
) -> None:
    """Do it by so many ``clients`` side by side."""

    async def client() -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while loop.time() < until:
            with suppress(*BROKEN):
                await asyncio.wait_for(one(), max(0.1, until - loop.time()))
            await asyncio.sleep(_STEP)

    await asyncio.gather(*(client() for _ in range(clients)))
