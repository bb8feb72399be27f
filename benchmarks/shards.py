"""``lurcher bench shards``: what each shard of a collection works for a search, and that hits stay the same.

A bundle is split into shards, which are asked in this process, one after the other. Every query is asked of
the bundle as well, in all the ways that it can be asked, and ids and scores have to be equal. Times are the
processor's, so that what else runs on the machine counts little; what messages between processes cost is in
``docs/cluster.md``.
"""

from __future__ import annotations

import pickle
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Condition
from lurcher.cluster.coordinator import Coordinator
from lurcher.cluster.messages import Reply, Request
from lurcher.cluster.shard import Shard
from lurcher.cluster.split import split
from lurcher.errors import LurcherError
from lurcher.evaluation.judgements import read_queries
from lurcher.index_builder.progress import Silent
from lurcher.models.engines import EngineName
from lurcher.retrieval.filters import parse_filter
from lurcher.retrieval.query import Extra, Query, ReadOptions
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot

_ENOUGH = 1e9  # seconds for a shard: nothing is late here
_BATCH = 20  # queries of a request, where several are asked at once
_NAMES = ("Retrieve", "Compare", "Fetch")
_PLAIN = "by default"
# Known queries are compared as well, where they count.
_NAMED: frozenset[Extra] = frozenset({"contributing_neighbours"})
# The one that is measured to be faster may be another for a bundle than for its shards, and rounds otherwise.
_ENGINE: EngineName = "onnxruntime"

_Batches = Sequence[Sequence[Query]]
_Modes = Mapping[str, _Batches]


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


class _Compared(NamedTuple):
    """How many ``queries`` had the hits and answers of one bundle, and how many with the same scores.

    ``apart`` is the largest difference of a score.
    """

    mode: str
    queries: int
    ids: int
    scores: int
    apart: float


def main(
    bundle: Annotated[Path, typer.Argument(help="A bundle of which nothing was deleted.")],
    queries: Annotated[Path, typer.Option(help="queries.jsonl to ask with.")],
    shards: Annotated[
        list[int] | None, typer.Option(min=1, help="How many shards; can be repeated.")
    ] = None,
    limit: Annotated[int, typer.Option(help="Queries to ask.")] = 500,
    filter_by: Annotated[
        str, typer.Option("--filter", help="A filter, as JSON, for searches with one.")
    ] = "",
    only: Annotated[
        list[str] | None,
        typer.Option("--mode", help="A way to ask, as it is printed; can be repeated. Default: all."),
    ] = None,
) -> None:  # fmt: skip
    """Print medians of a shard's work for a search, and how many results are those of one bundle, by mode."""
    texts = list(read_queries(queries).values())[:limit]
    work = Table("shards", "passages each", "find, ms", "compare, ms", "fetch, ms", "kB")
    same = Table("shards", "mode", "queries", "same ids", "same scores", "largest difference")
    with closing(Snapshot(Bundle.open(bundle), 1, _ENGINE)) as one:
        modes = _modes(one, texts, parse_filter(filter_by or "{}"))
        if only is not None:
            modes = {mode: batches for mode, batches in modes.items() if mode in (_PLAIN, *only)}
        wanted = {mode: _asked(one, batches) for mode, batches in modes.items()}
        for count in shards or [1, 2, 4, 8]:
            with tempfile.TemporaryDirectory() as folder:
                row, compared = _measured(one, Path(folder) / "cluster", count, modes, wanted)
            work.add_row(*row)
            for line in compared:
                mode, asked, ids, scores, apart = line
                same.add_row(str(count), mode, str(asked), str(ids), str(scores), f"{apart:.1e}")
    Console().print(work, same)


def _modes(one: Snapshot, texts: Sequence[str], by: tuple[Condition, ...]) -> _Modes:
    """The queries of each mode that the bundle of ``one`` has, a list for all that are asked at once."""
    plain, able = [Query(text) for text in texts], one.capabilities
    changes: dict[str, dict[str, Any]] = {_PLAIN: {}}
    if able.vectors and able.lexical is not None:
        changes |= {name: {"retrieve": name} for name in ("dense", "lexical")}
    changes["unranked"] = {"rank": "off"}
    if able.known is not None:
        changes |= {
            f"neighbours {mode}{unranked}": {"neighbours": mode, "extras": _NAMED, **rank}
            for mode in ("off", "adapted", "voting")
            for unranked, rank in (("", {}), (", unranked", {"rank": "off"}))
        }
    changes |= {name: {"rank": name} for name in ("decoder", "t5", "reader") if able.ranks(name)}
    changes |= {"grouped": {"group_by": "document"}, "folded": {"fold": True}}
    if by:
        changes["filtered"] = {"conditions": by}
        changes["filtered and folded"] = {"conditions": by, "fold": True}
    if able.reader:
        changes["answers"] = {"read": ReadOptions(min_score=0.0)}
    modes = {
        name: [[replace(query, **change)] for query in plain] for name, change in changes.items()
    }
    whole = range(0, len(plain), _BATCH)
    return modes | {f"batches of {_BATCH}": [plain[first : first + _BATCH] for first in whole]}


def _asked(one: Snapshot, batches: _Batches) -> list[SearchResult]:
    """The result of each query of ``batches``."""
    found = []
    for batch in batches:
        for result in one.run(batch):
            if isinstance(result, LurcherError):
                raise result
            found.append(result)
    return found


def _measured(
    one: Snapshot, folder: Path, count: int, modes: _Modes, wanted: Mapping[str, list[SearchResult]]
) -> tuple[list[str], list[_Compared]]:  # fmt: skip
    """What is told of the bundle of ``one`` in ``count`` shards, which are written into ``folder``."""
    whole = one.bundle
    cluster = split(whole, folder, count, Silent())
    with ExitStack() as stack:
        parts = [
            stack.enter_context(closing(Shard(folder, cluster, number, check_hashes=False)))
            for number in range(count)
        ]
        timed, shards = _Timed(parts), _Timed(parts)
        head = Bundle.open(folder / cluster.coordinator.path, check_hashes=False)
        coordinator = stack.enter_context(
            closing(Coordinator(head, cluster, shards, _ENOUGH, 1, _ENGINE))
        )
        compared = [
            _compared(mode, _asked(coordinator, batches), wanted[mode])
            for mode, batches in modes.items()
            if mode != _PLAIN
        ]
        head = Bundle.open(folder / cluster.coordinator.path, check_hashes=False)
        coordinator = stack.enter_context(
            closing(Coordinator(head, cluster, timed, _ENOUGH, 1, _ENGINE))
        )
        compared.insert(0, _compared(_PLAIN, _asked(coordinator, modes[_PLAIN]), wanted[_PLAIN]))
    # What no query asks for, such as to compare tokens where there are none, has no median.
    asked = [name for name in _NAMES if timed.seconds[name]]
    medians = [
        f"{1e3 * float(np.median(timed.seconds[name])):.2f}" if name in asked else ""
        for name in _NAMES
    ]
    size = sum(float(np.median(timed.sizes[name])) for name in asked) / 1e3
    row = [str(count), f"{whole.passages.count / count:,.0f}", *medians, f"{size:.0f}"]
    return row, compared


def _compared(
    mode: str, found: Sequence[SearchResult], wanted: Sequence[SearchResult]
) -> _Compared:
    """How far the results ``found`` over shards are those ``wanted``."""
    ids = scores = 0
    apart = 0.0
    for mine, other in zip(found, wanted, strict=True):
        ours, theirs = _scores(mine), _scores(other)
        ids += list(ours) == list(theirs)
        scores += ours == theirs
        both = ours.keys() & theirs.keys()
        apart = max([apart, *(abs(ours[key] - theirs[key]) for key in both)])
    return _Compared(mode, len(wanted), ids, scores, apart)


def _scores(result: SearchResult) -> dict[tuple[object, ...], float]:
    """The scores of its hits and answers, and the shares of known queries in hits, in their order.

    By what else is told of them.
    """
    found: dict[tuple[object, ...], float] = {}
    for hit in result.hits:
        found[hit.id, hit.duplicates] = hit.score
        found |= {(hit.id, name): score for name, score in hit.scores.items()}
        known = hit.explanation.contributing_neighbours or []
        found |= {(hit.id, "known", one.id): one.share for one in known}
    answers = {(one.passage.id, one.part, one.span, one.text): one.score for one in result.answers}
    return found | answers
