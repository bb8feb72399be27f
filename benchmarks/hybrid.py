"""``lurcher bench hybrid``: what lexical retrieval adds to dense, in quality and in time.

Every way to retrieve answers the same judged queries. What the default adds to dense retrieval with the same
ranking is a mean of paired differences with its 95 % bootstrap interval. Both are then timed, one query at
a time and in turns, so that a machine that slows down slows both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

import lurcher
from lurcher.benchmarks.timing import Way, paired_ratio, ratio, take_turns
from lurcher.collection import SearchOptions
from lurcher.errors import FieldError, InputError
from lurcher.evaluation.judgements import Qrels, read_qrels, read_queries
from lurcher.evaluation.measures import DEPTH, PerQuery, interval, per_query
from lurcher.evaluation.missing import missing_queries, relevant_passages, unknown_passages
from lurcher.evaluation.searchers import BundleSearcher, Searcher, judges_documents

BASE, DEFAULT = "dense, ranked", "default"
WAYS: Mapping[str, Mapping[str, Any]] = {
    "dense": {"retrieve": "dense", "rank": "off"},
    "lexical": {"retrieve": "lexical", "rank": "off"},
    "hybrid": {"retrieve": "hybrid", "rank": "off"},
    BASE: {"retrieve": "dense"},
    DEFAULT: {},
}

# Shown only where each query has one relevant passage.
_OF_ONE = "MRR@10"
_SHOWN = ("nDCG@10", _OF_ONE, "Recall@100")
_HITS = 10  # of a query that is timed
_TURN = 5  # queries


@dataclass(frozen=True, slots=True)
class JudgedSet:
    """Judged queries, and the bundle that answers them."""

    name: str
    bundle: Path
    ids: list[str]
    texts: list[str]
    qrels: Qrels

    @classmethod
    def read(cls, folder: Path, bundle: Path, split: str, limit: int | None = None) -> JudgedSet:
        """That of ``folder``, of BEIR's form: the first ``limit`` judged queries of a split.

        Raises CorpusError, or InputError if there is none.
        """
        queries = read_queries(folder / "queries.jsonl")
        qrels = read_qrels(folder / "qrels" / f"{split}.tsv")
        judged = [id_ for id_, grades in qrels.items() if any(g > 0 for g in grades.values())]
        if not judged:
            raise InputError(f"{folder}: no judgement of {split} has a grade above 0")
        for warning in missing_queries(judged, queries):
            typer.echo(f"{folder}: {warning}", err=True)
        ids = [id_ for id_ in judged if id_ in queries][:limit]
        return cls(folder.name, bundle, ids, [queries[id_] for id_ in ids], qrels)

    @property
    def wanted(self) -> list[str]:
        """The passages or documents that answer one of the queries."""
        return relevant_passages(self.ids, self.qrels)

    @property
    def measures(self) -> tuple[str, ...]:
        """Those that say something of the set."""
        one = all(sum(g > 0 for g in self.qrels[id_].values()) == 1 for id_ in self.ids)
        return tuple(name for name in _SHOWN if one or name != _OF_ONE)


def main(
    sets: Annotated[
        list[str],
        typer.Argument(help="FOLDER=BUNDLE: queries.jsonl and qrels/, and what answers them."),
    ],
    split: Annotated[str, typer.Option(help="Of each FOLDER, qrels/SPLIT.tsv.")] = "test",
    limit: Annotated[int | None, typer.Option(min=1, help="The first so many queries.")] = None,
    timed: Annotated[int, typer.Option(min=0, help="Queries to time; 0: none.")] = 300,
    threads: Annotated[int | None, typer.Option(help="Threads of a search; all cores.")] = None,
) -> None:
    """Print the quality of each way to retrieve, what the default adds, and what that costs."""
    console = Console(width=120)
    gains: dict[str, float] = {}
    for name, (folder, bundle) in zip(sets, map(_pair, sets), strict=True):
        judged = JudgedSet.read(folder, bundle, split, limit)
        scores = dict(measured(judged))
        console.print(_quality(judged, scores))
        gain = scores[DEFAULT]["nDCG@10"] - scores[BASE]["nDCG@10"]
        gains[name] = float(gain.mean())
        if timed:
            console.print(_times(seconds(judged, timed, threads)))
    if len(gains) > 1:
        worst = min(gains, key=lambda name: gains[name])
        mean = np.mean(list(gains.values()))
        console.print(
            f"{len(gains)} sets: nDCG@10 of the default minus {BASE}: mean {mean:+.4f}, "
            f"lowest {gains[worst]:+.4f} ({worst})",
            highlight=False, soft_wrap=True,
        )  # fmt: skip


def measured(
    judged: JudgedSet, ways: Mapping[str, Mapping[str, Any]] = WAYS
) -> Iterator[tuple[str, PerQuery]]:
    """The measures of each way, query by query. Raises InputError where the bundle is of another corpus."""
    by: dict[str, Literal["document"]] = (
        {"group_by": "document"} if judges_documents(judged.wanted) else {}
    )
    for name, way in ways.items():
        options = cast(SearchOptions, {**way, **by})
        with closing(BundleSearcher(judged.bundle, options, judged.wanted)) as searcher:
            if name == next(iter(ways)):
                _warn(searcher, judged)
            yield name, per_query(judged.ids, searcher.search(judged.texts, DEPTH), judged.qrels)


def seconds(
    judged: JudgedSet, most: int, threads: int | None = None,
    ways: Mapping[str, Mapping[str, Any]] = WAYS,
) -> dict[str, dict[int, float]]:  # fmt: skip
    """What the base and the default take for each of the first ``most`` queries, in turns."""
    texts = judged.texts[:most]
    with lurcher.open(judged.bundle, threads=threads) as collection:

        def search(options: SearchOptions, i: int) -> None:
            collection.search(texts[i], _HITS, **options)

        timed = {
            name: Way(partial(search, cast(SearchOptions, ways[name]))) for name in (BASE, DEFAULT)
        }
        take_turns(timed, min(len(texts), 10))  # what is made on first use
        return take_turns(timed, len(texts), _TURN)


def _warn(searcher: Searcher, judged: JudgedSet) -> None:
    known = searcher.known(judged.wanted)
    for warning in unknown_passages(searcher.name, judged.wanted, known or ()):
        typer.echo(warning, err=True)


def _quality(judged: JudgedSet, scores: Mapping[str, PerQuery]) -> Table:
    title = f"{judged.name}: {len(judged.ids):,} queries"
    table = Table("", *judged.measures, title=title)
    for name, found in scores.items():
        table.add_row(name, *(f"{found[measure].mean():.4f}" for measure in judged.measures))
    gains = (
        interval(scores[DEFAULT][measure] - scores[BASE][measure]) for measure in judged.measures
    )
    table.add_row(
        f"default minus {BASE}",
        *(f"{gain.mean:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]" for gain in gains),
    )
    return table


def _times(taken: Mapping[str, Mapping[int, float]]) -> Table:
    table = Table("one query at a time", "p50", "p95", "p99", "ratio of p50", "median ratio")
    for name, of in taken.items():
        marks = np.percentile(list(of.values()), [50, 95, 99])
        shown = [f"{1_000 * mark:.2f} ms" for mark in marks]
        ratios = (ratio(of, taken[BASE]), paired_ratio(of, taken[BASE]))
        table.add_row(name, *shown, *(f"{one:.2f}" for one in ratios))
    return table


def _pair(text: str) -> tuple[Path, Path]:
    folder, sign, bundle = text.rpartition("=")
    if not (folder and sign and bundle):
        raise FieldError("sets", f"{text!r} is not FOLDER=BUNDLE")
    return Path(folder), Path(bundle)
