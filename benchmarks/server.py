"""``lurcher bench server BUNDLE``: a real server over a real socket, under one client and under many.

For each number of clients: the latency that a client sees, the stages that the server reports, and the
rest beside them, which is what HTTP, validation, the queue and the reply cost.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryFile
from typing import Annotated
from urllib.parse import urlsplit

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from lurcher.errors import ServiceError
from lurcher.evaluation.judgements import read_queries

_WARM_UP = 50
# What the server reports beside its stages.
_NO_STAGES = ("queue", "total")


@dataclass(frozen=True, slots=True)
class Sample:
    """One request in milliseconds: what the client saw, the server's total, and the stages in it."""

    client: float
    total: float
    stages: float


@contextmanager
def running_server(bundle: Path, *flags: str) -> Iterator[tuple[tuple[str, int], Popen[bytes]]]:
    """The address of a `lurcher serve` of ``bundle``, ready, and its process. Raises ServiceError."""
    command = [sys.executable, "-m", "lurcher", "serve", str(bundle), "--port", "0", *flags]
    with TemporaryFile("w+") as log, Popen(command, stderr=log) as process:
        try:
            found: dict[str, str] = {}
            while not {"ready", "listening"} <= found.keys():
                if process.poll() is not None:
                    log.seek(0)
                    raise ServiceError(f"the server of {bundle} did not start: {log.read()}")
                time.sleep(0.1)
                log.seek(0)
                events = (json.loads(line) for line in log if line.endswith("}\n"))
                found = {event["event"]: event.get("url", "") for event in events}
            url = urlsplit(found["listening"])
            yield (url.hostname or "", url.port or 0), process
        finally:
            process.terminate()


def ask(address: tuple[str, int], queries: Sequence[str]) -> list[Sample]:
    """One sample per query, sent one after the other on one connection."""
    samples = []
    with connected(address) as connection:
        for query in queries:
            start = time.perf_counter()
            content = post(connection, "/v1/search", {"query": query})
            client = (time.perf_counter() - start) * 1_000
            timings = json.loads(content)["timings_ms"]
            stages = sum(ms for stage, ms in timings.items() if stage not in _NO_STAGES)
            samples.append(Sample(client, timings["total"], stages))
    return samples


def connected(address: tuple[str, int]) -> socket.socket:
    """A bare socket, as load tools use: Python's own HTTP client takes as long as the server does."""
    connection = socket.create_connection(address)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def post(connection: socket.socket, path: str, document: object, method: str = "POST") -> bytes:
    """The body of the reply to a request. Raises ServiceError where its status is not 200."""
    body = json.dumps(document).encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    status, content = _reply(connection)
    if status != 200:
        raise ServiceError(f"{path} answered {status}: {content.decode()}")
    return content


def _reply(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body of one reply with a stated length."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _received(connection)
    head, _, content = received.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    while length and len(content) < int(length[1]):
        content += _received(connection)
    return int(head.split(b" ", 2)[1]), content


def _received(connection: socket.socket) -> bytes:
    part = connection.recv(1 << 16)
    if not part:
        raise ServiceError("the server hung up")
    return part


def main(
    bundle: Annotated[Path, typer.Argument(help="A bundle.")],
    queries: Annotated[Path, typer.Option(help="queries.jsonl, sent in order, again and again.")],
    requests: Annotated[int, typer.Option(min=1, help="Requests a client.")] = 1_000,
    clients: Annotated[
        str, typer.Option(help="Numbers of clients, one after the other.")
    ] = "1,4,16",
) -> None:
    """Print latency, the server's own cost, throughput and memory."""
    texts = list(read_queries(queries).values())
    table = Table("clients", "requests/s", "p50 ms", "p95", "p99", "stages p50", "outside p50",
                  "outside p95", "in server p50")  # fmt: skip
    with running_server(bundle) as (address, process):
        for count in map(int, clients.split(",")):
            ask(address, texts[:_WARM_UP])
            parts = [list(islice(cycle(texts), i * 97, i * 97 + requests)) for i in range(count)]
            start = time.perf_counter()
            with ThreadPoolExecutor(count) as pool:
                samples = [s for part in pool.map(lambda p: ask(address, p), parts) for s in part]
            rate = len(samples) / (time.perf_counter() - start)
            client = np.array([s.client for s in samples])
            stages = np.array([s.stages for s in samples])
            total = np.array([s.total for s in samples])
            p50, p95, p99 = np.percentile(client, [50, 95, 99])
            outside = np.percentile(client - stages, [50, 95])
            table.add_row(
                str(count), f"{rate:.0f}", f"{p50:.2f}", f"{p95:.2f}", f"{p99:.2f}",
                f"{np.median(stages):.2f}", f"{outside[0]:.2f}", f"{outside[1]:.2f}",
                f"{np.median(total - stages):.2f}",
            )  # fmt: skip
        memory = _memory(process.pid)
    console = Console()
    console.print(table)
    console.print(memory, highlight=False)


def _memory(pid: int) -> str:
    """What the process holds in memory, in words."""
    held = memory(pid)
    if held is None:
        return "server memory: unknown on this system"
    resident, own = held
    return f"server memory: {resident:.0f} MiB resident, {own:.0f} MiB of it not shared with others"


def memory(pid: int) -> tuple[float, float] | None:
    """MiB of the process in memory, and of these what it shares with no other; None except on Linux."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return None
    kib = {
        name: int(size) for name, size in re.findall(r"^(\w+): +(\d+) kB$", rollup, re.MULTILINE)
    }
    return kib["Rss"] / 1024, (kib["Private_Clean"] + kib["Private_Dirty"]) / 1024


if __name__ == "__main__":
    typer.run(main)
