"""``lurcher bench cluster``: how long each round of a search takes over Ray Serve, beside the shards' work.

A bundle is split into shards, which Serve runs on this machine, and which are open in this process as well. A
coordinator in this process is the client; each message goes over Serve and then to the shards here, one after
the other, so that both meet the same load of the machine. HTTP takes no part in it.

Serve reads its switches from the environment when it is imported, so each setting has a process of its own.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from threading import Thread
from time import perf_counter
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from lurcher.bundle.bundle import Bundle
from lurcher.cluster.asking import Shards
from lurcher.cluster.cluster_file import read_cluster
from lurcher.cluster.coordinator import Coordinator
from lurcher.cluster.messages import Reply, Request
from lurcher.cluster.shard import Shard
from lurcher.cluster.split import split
from lurcher.errors import LurcherError
from lurcher.evaluation.judgements import read_queries
from lurcher.index_builder.progress import Silent
from lurcher.retrieval.query import Query

_ENOUGH = 60.0  # seconds for a shard: nothing is late here
_WARM_UP = 50  # queries
_SWITCHES: dict[str, dict[str, str]] = {
    "default": {},
    "throughput": {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"},
}
_ROUNDS = {"Retrieve": "find", "Compare": "compare", "Fetch": "fetch"}

# Milliseconds of each message of a round: over Serve, and of the shard here that worked longest.
Times = dict[str, list[tuple[float, float]]]


class _Both:
    """Shards that are asked over Serve and, for the time that it takes, in this process."""

    def __init__(self, served: Shards, here: Sequence[Shard]) -> None:
        self._served, self._here = served, here
        self.times: Times = defaultdict(list)

    def ask(self, requests: Mapping[int, Request], seconds: float) -> Mapping[int, Reply]:
        """As ``Shards.ask``, over Serve."""
        start = perf_counter()
        replies = self._served.ask(requests, seconds)
        served = perf_counter() - start
        if len(replies) < len(requests):
            raise LurcherError("a shard does not answer")
        longest = 0.0
        for number, request in requests.items():
            start = perf_counter()
            self._here[number].answer(request)
            longest = max(longest, perf_counter() - start)
        name = type(next(iter(requests.values())).works[0]).__name__
        self.times[name].append((1e3 * served, 1e3 * longest))
        return replies


def main(
    bundle: Annotated[Path, typer.Argument(help="A bundle of which nothing was deleted.")],
    queries: Annotated[Path, typer.Option(help="queries.jsonl to ask with.")],
    shards: Annotated[int, typer.Option(min=1, help="How many shards.")] = 2,
    limit: Annotated[int, typer.Option(min=1, help="Queries to ask, after 50 that do not count.")] = 300,
) -> None:  # fmt: skip
    """Print what each round of a search takes over Ray Serve, beside the work of the slowest shard."""
    if find_spec("ray") is None:
        raise LurcherError("this needs the package ray: pip install 'lurcher[ray]'")
    texts = list(read_queries(queries).values())[: limit + _WARM_UP]
    table = Table(
        "Serve", "round", "p50 ms", "p99 ms", "work p50 ms", "work p99 ms", "p50 of the rest, ms"
    )
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "cluster"
        with closing(Bundle.open(bundle)) as whole:
            split(whole, folder, shards, Silent())
        for name, switches in _SWITCHES.items():
            with ProcessPoolExecutor(1, get_context("spawn")) as alone:
                times = alone.submit(_measured, folder, texts, switches).result()
            for kind, title in _ROUNDS.items():
                table.add_row(name, title, *_row(times[kind]))
    Console().print(table)


def _row(times: list[tuple[float, float]]) -> list[str]:
    served, worked = np.array(times[_WARM_UP:]).T
    figures = [*np.quantile(served, [0.5, 0.99]), *np.quantile(worked, [0.5, 0.99])]
    return [f"{one:.1f}" for one in (*figures, np.median(served - worked))]


def _measured(folder: Path, texts: list[str], switches: dict[str, str]) -> Times:
    """The times of ``texts`` over shards on a Ray that is started with ``switches`` in its environment."""
    os.environ.update(switches)
    from ray import serve

    from lurcher.cluster.on_ray import joined
    from lurcher.cluster.served_shards import ServedShards
    from lurcher.cluster.serving import ServeOptions, handles, shards

    cluster = read_cluster(folder)
    count = len(cluster.shards)

    async def made() -> ServedShards:
        return ServedShards(handles(cluster, "shards"), has_second=False)

    with ExitStack() as stack:
        stack.enter_context(joined("local", cpus=count))
        stack.callback(serve.shutdown)
        serve.start(proxy_location="Disabled")
        serve.run(
            shards(ServeOptions.model_validate({"cluster": folder})),
            name="shards",
            route_prefix=None,
        )
        loop = asyncio.new_event_loop()
        Thread(target=loop.run_forever, daemon=True).start()
        served = asyncio.run_coroutine_threadsafe(made(), loop).result()
        here = [
            stack.enter_context(closing(Shard(folder, cluster, number, check_hashes=False)))
            for number in range(count)
        ]
        both = _Both(served, here)
        head = Bundle.open(folder / cluster.coordinator.path, check_hashes=False)
        coordinator = stack.enter_context(closing(Coordinator(head, cluster, both, _ENOUGH, 1)))
        for text in texts:
            (found,) = coordinator.run([Query(text)])
            if isinstance(found, LurcherError):
                raise found
    return dict(both.times)
