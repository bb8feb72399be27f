"""``lurcher bench workers``: how many requests a second several processes answer, against one.

Both servers run all the time and are asked in turns by the same number of clients, so that what else the
machine does meets both. The clients take a part of the same cores, of one server as of the other.
"""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from itertools import cycle, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from lurcher.benchmarks.server import ask, running_server
from lurcher.evaluation.judgements import read_queries

# Clients wait for their replies, so that no more wait than there are clients: nobody is to be refused.
PATIENT = ("--max-wait-ms", "60000", "--timeout-ms", "60000")


def main(
    bundle: Annotated[Path, typer.Argument(help="A bundle.")],
    queries: Annotated[Path, typer.Option(help="queries.jsonl, sent in order, again and again.")],
    workers: Annotated[int, typer.Option(min=2, help="Processes of the other server.")] = 2,
    clients: Annotated[int, typer.Option(min=1, help="Clients, each with a connection.")] = 8,
    requests: Annotated[int, typer.Option(min=1, help="Requests a client and turn.")] = 100,
    turns: Annotated[int, typer.Option(min=1, help="Turns of each server.")] = 10,
) -> None:
    """Print requests a second and latencies of both, and the ratio in turns."""
    texts = list(read_queries(queries).values())
    parts = [list(islice(cycle(texts), i * 97, i * 97 + requests)) for i in range(clients)]
    rates: dict[int, list[float]] = {1: [], workers: []}
    latencies: dict[int, list[float]] = {1: [], workers: []}
    with ExitStack() as stack:
        pool = stack.enter_context(ProcessPoolExecutor(clients, get_context("spawn")))
        addresses = {
            count: stack.enter_context(running_server(bundle, *PATIENT, "--workers", str(count)))[0]
            for count in rates
        }
        for turn in range(-1, turns):  # the first warms up
            for count, address in addresses.items():
                start = time.perf_counter()
                samples = [s for part in pool.map(ask, [address] * clients, parts) for s in part]
                if turn >= 0:
                    rates[count].append(len(samples) / (time.perf_counter() - start))
                    latencies[count] += [one.client for one in samples]
    table = Table("workers", "requests/s, median", "p50 ms", "p99 ms")
    for count, found in rates.items():
        p50, p99 = np.quantile(latencies[count], [0.5, 0.99])
        table.add_row(str(count), f"{np.median(found):.0f}", f"{p50:.1f}", f"{p99:.1f}")
    Console().print(table)
    ratio = np.array(rates[workers]) / np.array(rates[1])
    low, middle, high = np.quantile(ratio, [0.1, 0.5, 0.9])
    print(
        f"{workers} workers carry {middle:.2f} times as many ({low:.2f} to {high:.2f} in 8 of 10 turns)"
    )
