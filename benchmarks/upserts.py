"""``lurcher bench upserts``: what writing a corpus costs those who search meanwhile.

A copy of the bundle is served, and clients ask it all the time. In every second turn a part of the corpus is
written to it, so that what else the machine does meets turns with writes and turns without alike. Clients and
writer take their part of the same cores. Latency counts from when a search was due: a late reply makes the
next one late, too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import cycle, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from lurcher.benchmarks.copies import copy_of
from lurcher.benchmarks.server import connected, memory, post, running_server
from lurcher.benchmarks.timing import spread
from lurcher.benchmarks.workers import PATIENT
from lurcher.evaluation.judgements import read_queries
from lurcher.index_builder.corpus import read_corpus

_TURNS = ("without writes", "with writes")
_PERCENTILES = (50, 95, 99)


def main(
    bundle: Annotated[Path, typer.Argument(help="A bundle; it is copied and stays as it is.")],
    corpus: Annotated[Path, typer.Argument(help="What is written, as `lurcher build` reads it.")],
    queries: Annotated[Path, typer.Option(help="queries.jsonl, sent in order, again and again.")],
    clients: Annotated[int, typer.Option(min=1, help="Clients, each with a connection.")] = 8,
    documents: Annotated[int, typer.Option(min=1, help="Documents a write.")] = 50,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long a turn lasts.")] = 20,
    rate: Annotated[
        float,
        typer.Option(min=0, help="Searches a second of all clients; 0: as fast as replies come."),
    ] = 0,
    write_share: Annotated[
        float, typer.Option(min=0.01, max=1, help="The server's setting of this name.")
    ] = 0.25,
) -> None:
    """Print latencies with and without writes, their ratio by turns, documents a second, and memory."""
    texts = list(read_queries(queries).values())
    parts = [texts[i * 97 % len(texts) :] + texts[: i * 97 % len(texts)] for i in range(clients)]
    writes = _writes(corpus, documents)
    latencies: list[list[np.ndarray[Any, Any]]] = []  # by pair of turns, of both
    written, spent = 0, 0.0
    held: list[tuple[float, float]] = []
    with ExitStack() as stack:
        copy = stack.enter_context(copy_of(bundle))
        pool = stack.enter_context(ProcessPoolExecutor(clients, get_context("spawn")))
        flags = ("--writable", "--write-share", str(write_share), *PATIENT)
        address, process = stack.enter_context(running_server(copy, *flags))
        interval = clients / rate if rate else 0.0
        ask = partial(_ask_for, address, seconds=seconds, interval=interval)
        list(pool.map(ask, parts))  # warms up
        more = True
        while more:
            turns = []
            for turn in _TURNS:
                jobs = [pool.submit(ask, part) for part in parts]
                if turn == "with writes":
                    start = time.perf_counter()
                    count, more = _write_for(address, writes, seconds)
                    written, spent = written + count, spent + time.perf_counter() - start
                    held += [now] if (now := memory(process.pid)) else []
                turns.append(np.concatenate([job.result() for job in jobs]))
            latencies.append(turns)
    table = Table("turns", "searches", *(f"p{one} ms" for one in _PERCENTILES))
    for name, of_turns in zip(_TURNS, zip(*latencies, strict=True), strict=True):
        found = np.concatenate(of_turns)
        table.add_row(
            name, f"{len(found):,}", *(f"{x:.1f}" for x in np.percentile(found, _PERCENTILES))
        )
    Console().print(table)
    ratios = [
        np.divide(*(np.percentile(one, _PERCENTILES) for one in pair[::-1])) for pair in latencies
    ]
    told = spread(ratios, _PERCENTILES, (0.1, 0.5, 0.9))
    print(
        f"with writes against without, {len(ratios)} pairs of turns (9 of 10, median, 1 of 10): {told}"
    )
    print(f"{written:,} documents written, {written / spent:.0f} a second")
    if held:
        resident, own = np.array(held).T
        print(
            f"server memory: {own[0]:.0f} MiB not shared after the first turn, {own[-1]:.0f} after the "
            f"last, {own.max():.0f} at most; {resident.max():.0f} resident at most"
        )


def _ask_for(
    address: tuple[str, int], queries: Sequence[str], seconds: float, interval: float
) -> np.ndarray[Any, Any]:
    """The latencies in milliseconds of ``queries``, of which one is due every ``interval`` seconds.

    None is sent before the last one's reply; with ``interval`` 0 it is due then.
    """
    found: list[float] = []
    due = time.perf_counter()
    until = due + seconds
    with connected(address) as connection:
        for query in cycle(queries):
            time.sleep(max(0.0, due - time.perf_counter()))
            if due >= until:
                break
            post(connection, "/v1/search", {"query": query})
            done = time.perf_counter()
            found.append((done - due) * 1_000)
            due = due + interval if interval else done
    return np.array(found)


def _write_for(
    address: tuple[str, int], writes: Iterator[list[dict[str, str]]], seconds: float
) -> tuple[int, bool]:
    """How many documents were written in so many seconds, and whether there are more."""
    count, until = 0, time.perf_counter() + seconds
    with connected(address) as connection:
        while time.perf_counter() < until:
            records = next(writes, None)
            if records is None:
                return count, False
            post(connection, "/v1/passages", {"records": records}, "PUT")
            count += len(records)
    return count, True


def _writes(corpus: Path, size: int) -> Iterator[list[dict[str, str]]]:
    """The documents of ``corpus`` as records, ``size`` at a time, under ids that no build gave."""
    documents = (record.document for record in read_corpus(corpus) if record.document)
    while some := list(islice(documents, size)):
        yield [{"id": f"upsert {one.id}", "title": one.title, "text": one.text} for one in some]
