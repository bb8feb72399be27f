"""``lurcher bench shards``: what each shard of a collection works for a search, and that hits stay the same.

A bundle is split into shards, which are asked in this process, one after the other. Every query is asked of
the bundle as well, and ids and scores have to be equal. Times are the processor's, so that what else runs on
the machine counts little; what messages between processes cost is in ``docs/cluster.md``.
"""

from __future__ import annotations

import pickle
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from time import process_time
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from lurcher.bundle.bundle import Bundle
from lurcher.cluster.coordinator import Coordinator
from lurcher.cluster.messages import Reply, Request
from lurcher.cluster.shard import Shard
from lurcher.cluster.split import split
from lurcher.errors import LurcherError
from lurcher.evaluation.judgements import read_queries
from lurcher.index_builder.progress import Silent
from lurcher.retrieval.query import Query
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot

_ENOUGH = 1e9  # seconds for a shard: nothing is late here


class _Timed:
    """Shards in this process; notes the seconds and bytes of each message, by what it asks for."""

    def __init__(self, shards: list[Shard]) -> None:
        self._shards = shards
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.sizes: dict[str, list[int]] = defaultdict(list)

    def ask(self, requests: Mapping[int, Request], _seconds: float) -> Mapping[int, Reply]:
        """As ``Shards.ask``."""
        replies = {}
        for number, request in requests.items():
            name = type(request.works[0]).__name__
            start = process_time()
            replies[number] = self._shards[number].answer(request)
            self.seconds[name].append(process_time() - start)
            self.sizes[name].append(len(pickle.dumps((request, replies[number]), 5)))
        return replies


def main(
    bundle: Annotated[Path, typer.Argument(help="A bundle as it was built, without known queries.")],
    queries: Annotated[Path, typer.Option(help="queries.jsonl to ask with.")],
    shards: Annotated[
        list[int] | None, typer.Option(min=1, help="How many shards; can be repeated.")
    ] = None,
    limit: Annotated[int, typer.Option(help="Queries to ask.")] = 500,
) -> None:  # fmt: skip
    """Print medians of a shard's work for a search, and for how many queries hits are those of one bundle."""
    texts = list(read_queries(queries).values())[:limit]
    table = Table("shards", "passages each", "find, ms", "compare, ms", "fetch, ms", "kB", "equal")
    with closing(Snapshot(Bundle.open(bundle), 1)) as one:
        wanted = [_hits(one.run([Query(text)])[0]) for text in texts]
        for count in shards or [1, 2, 4, 8]:
            with tempfile.TemporaryDirectory() as work:
                table.add_row(*_row(one.bundle, Path(work) / "cluster", count, texts, wanted))
    Console().print(table)


def _row(
    whole: Bundle, folder: Path, count: int, texts: list[str], wanted: list[object]
) -> list[str]:  # fmt: skip
    """What is told of ``count`` shards, which are written into ``folder``."""
    cluster = split(whole, folder, count, Silent())
    with ExitStack() as stack:
        parts = [
            stack.enter_context(closing(Shard(folder, cluster, number, check_hashes=False)))
            for number in range(count)
        ]
        timed = _Timed(parts)
        head = Bundle.open(folder / cluster.coordinator.path, check_hashes=False)
        coordinator = Coordinator(head, cluster, timed, _ENOUGH, 1)
        stack.enter_context(closing(coordinator))
        found = [_hits(coordinator.run([Query(text)])[0]) for text in texts]
    same = sum(mine == other for mine, other in zip(found, wanted, strict=True))
    medians = [f"{1e3 * float(np.median(timed.seconds[name])):.2f}" for name in _NAMES]
    size = sum(float(np.median(timed.sizes[name])) for name in _NAMES) / 1e3
    each = f"{whole.passages.count / count:,.0f}"
    return [str(count), each, *medians, f"{size:.0f}", f"{same} of {len(texts)}"]


_NAMES = ("Retrieve", "Compare", "Fetch")


def _hits(result: SearchResult | LurcherError) -> object:
    """Ids and scores."""
    if isinstance(result, LurcherError):
        raise result
    return [(hit.id, hit.score, hit.scores) for hit in result.hits]
