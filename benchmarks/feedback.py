"""``lurcher bench feedback``: what learning from feedback costs those who search, and that none is lost.

Search clients ask a server without feedback, then one that two more clients send judgements to all the
while. That server is then killed, and started again on its log.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated
from urllib.request import urlopen

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from lurcher.benchmarks.server import Sample, ask, connected, post, running_server
from lurcher.evaluation.judgements import read_qrels, read_queries
from lurcher.feedback.aggregation import pair_key

_IN_TURN = 50  # searches of a client between looks at whether feedback still comes
_GIVERS = 2

Address = tuple[str, int]
Judged = list[tuple[str, str]]  # query, passage id


def main(
    bundle: Annotated[Path, typer.Argument(help="A bundle.")],
    queries: Annotated[Path, typer.Option(help="queries.jsonl.")],
    qrels: Annotated[Path, typer.Option(help="Judgements to send as feedback.")],
    pairs: Annotated[int, typer.Option(help="How many of them.")] = 10_000,
    a_request: Annotated[int, typer.Option(help="Pairs a request.")] = 10,
    clients: Annotated[int, typer.Option(help="Search clients.")] = 8,
) -> None:
    """Print latencies with and without feedback, and how many pairs are there after a kill."""
    texts = read_queries(queries)
    judged = [
        (texts[q], p) for q, grades in read_qrels(qrels).items() for p in grades if q in texts
    ]
    sent = judged[:pairs]
    query_texts = list(texts.values())
    table = Table("search clients", "searches", "p50 ms", "p95", "p99")
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "feedback.log"
        flags = ["--feedback", str(log)]
        with running_server(bundle, *flags) as (address, process):
            with _giving(address, sent, a_request) as done:
                busy = _search(address, query_texts, clients, done)
            process.kill()
            process.wait()
        with running_server(bundle, *flags) as (address, _):
            status = _status(address)
            quiet = _search(address, query_texts, clients, None, len(busy))
        # Once more without any that was learnt, as both it and the machine's day change the speed.
        for file in Path(folder).glob(f"{log.name}*"):
            file.unlink()
        with running_server(bundle, *flags) as (address, _):
            bare = _search(address, query_texts, clients, None, len(busy))
    for name, samples in (
        ("no feedback", bare), (f"{len(sent):,} pairs learnt before", quiet),
        (f"{_GIVERS} clients send {len(sent):,} pairs", busy),
    ):  # fmt: skip
        marks = np.percentile([sample.client for sample in samples], [50, 95, 99])
        table.add_row(name, f"{len(samples):,}", *(f"{mark:.2f}" for mark in marks))
    console = Console(width=120)
    console.print(table)
    distinct = len({pair_key(query, passage) for query, passage in sent})
    console.print(f"after SIGKILL and restart: {status['pairs']:,} of {distinct:,} distinct pairs")


@contextmanager
def _giving(address: Address, pairs: Judged, a_request: int) -> Iterator[threading.Event]:
    """Sends ``pairs`` meanwhile; the event is set when all are acknowledged."""
    done = threading.Event()

    def give(part: Judged) -> None:
        with connected(address) as connection:
            for start in range(0, len(part), a_request):
                some = [{"query": q, "passage": p} for q, p in part[start : start + a_request]]
                post(connection, "/v1/feedback", {"pairs": some})

    def give_all() -> None:
        try:
            with ThreadPoolExecutor(_GIVERS) as pool:
                list(pool.map(give, (pairs[i::_GIVERS] for i in range(_GIVERS))))
        finally:
            done.set()

    with ThreadPoolExecutor(1) as pool:
        giving = pool.submit(give_all)
        yield done
        giving.result()


def _search(
    address: Address, texts: Sequence[str], clients: int, done: threading.Event | None,
    count: int = 0,
) -> list[Sample]:  # fmt: skip
    """What ``clients`` saw until ``done``, or of ``count`` searches together."""
    ask(address, texts[:_IN_TURN])

    def client(number: int) -> list[Sample]:
        stream = islice(cycle(texts), number * 97, None)
        samples: list[Sample] = []
        while not done.is_set() if done else len(samples) < count / clients:
            samples += ask(address, list(islice(stream, _IN_TURN)))
        return samples

    with ThreadPoolExecutor(clients) as pool:
        return [sample for part in pool.map(client, range(clients)) for sample in part]


def _status(address: Address) -> dict[str, int]:
    url = f"http://{address[0]}:{address[1]}/v1/feedback"
    with urlopen(url) as reply:
        found: dict[str, int] = json.load(reply)
    return found
