"""``lurcher bench server BUNDLE``: a real server over a real socket, under one client and under many.

For each number of clients: the latency that a client sees, the stages that the server reports, and the
rest between them, which is what HTTP, validation, the queue and the reply cost.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import numpy as np
import psutil
import typer
from rich.console import Console
from rich.table import Table

from index_builder.judgements import read_queries
from models.errors import ServiceError

_WARM_UP = 50
_STAGES = ("encode", "search")


@dataclass(frozen=True, slots=True)
class _Sample:
    """One request in milliseconds: what the client saw, and the model and index stages in it."""

    client: float
    total: float
    stages: float


@contextmanager
def running_server(bundle: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Host and port of a `lurcher serve` of ``bundle``, ready, with its process. Raises ServiceError."""
    command = [sys.executable, "-m", "cli", "serve", str(bundle), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None  # noqa: S101 (it is piped)
        try:
            found: dict[str, str] = {}
            for line in process.stderr:
                event = json.loads(line) if line.startswith("{") else {"event": line}
                found[event["event"]] = event.get("url", "")
                if {"ready", "listening"} <= found.keys():
                    break
            else:
                raise ServiceError(f"the server of {bundle} did not start: {list(found)}")
            address = urlsplit(found["listening"]).netloc
            drain = ThreadPoolExecutor(1)
            drain.submit(lambda: [None for _ in process.stderr or ()])  # a full pipe would stop it
            yield address, psutil.Process(process.pid)
        finally:
            process.terminate()


def _ask(address: str, queries: Sequence[str]) -> list[_Sample]:
    connection = HTTPConnection(address)
    samples = []
    for query in queries:
        body = json.dumps({"query": query})
        start = time.perf_counter()
        connection.request("POST", "/v1/search", body, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        content = reply.read()
        client = (time.perf_counter() - start) * 1_000
        if reply.status != 200:
            raise ServiceError(f"{address} answered {reply.status}: {content.decode()}")
        timings = json.loads(content)["timings_ms"]
        stages = sum(timings[stage] for stage in _STAGES)
        samples.append(_Sample(client, timings["total"], stages))
    connection.close()
    return samples


def main(
    bundle: Annotated[Path, typer.Argument(help="A bundle.")],
    queries: Annotated[Path, typer.Option(help="queries.jsonl, asked in order, again and again.")],
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
            _ask(address, texts[:_WARM_UP])
            parts = [list(islice(cycle(texts), i * 97, i * 97 + requests)) for i in range(count)]
            start = time.perf_counter()
            with ThreadPoolExecutor(count) as pool:
                samples = [s for part in pool.map(lambda p: _ask(address, p), parts) for s in part]
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
        memory = process.memory_full_info()
    console = Console()
    console.print(table)
    console.print(
        f"server memory: {memory.rss / 2**20:.0f} MiB resident, "
        f"{memory.uss / 2**20:.0f} MiB of it not shared with others",
        highlight=False,
    )


if __name__ == "__main__":
    typer.run(main)
