"""``lurcher bench segments``: what it costs a search that a bundle is in several segments.

The bundle's passages are put into one segment in memory, and into several of the same: one large one, and the
rest equal. All answer the same queries in turns, timed by the processor's time, so that what else runs on the
machine counts little. Hits are compared, too: they have to be the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from time import process_time
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.copies import words_key
from lurcher.bundle.frequencies import Frequencies
from lurcher.bundle.jagged import JaggedStore
from lurcher.bundle.passages import Passage, Passages, Rows
from lurcher.bundle.postings import Postings
from lurcher.bundle.segment import Segment
from lurcher.bundle.vectors import VectorIndex
from lurcher.errors import FieldError
from lurcher.evaluation.judgements import read_queries
from lurcher.index_builder.near_duplicates import first_alike
from lurcher.retrieval.query import Query
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot

_WAYS: dict[str, dict[str, Any]] = {
    "default": {},
    "dense": {"retrieve": "dense", "rank": "off"},
    "lexical": {"retrieve": "lexical", "rank": "off"},
}
_WARM = 20  # queries


def main(
    bundle: Annotated[Path, typer.Argument(help="A bundle as it was built.")],
    queries: Annotated[Path, typer.Option(help="queries.jsonl to ask with.")],
    segments: Annotated[int, typer.Option(min=2, help="How many there are.")] = 12,
    share: Annotated[float, typer.Option(help="Of passages in all but the largest.")] = 0.2,
    deleted: Annotated[
        float, typer.Option(help="Share that is deleted in the last column.")
    ] = 0.05,
    limit: Annotated[int, typer.Option(help="Queries to time.")] = 300,
) -> None:
    """Print medians of a search over one segment and over several, and their ratios."""
    texts = list(read_queries(queries).values())[:limit]
    with ExitStack() as stack:
        opened = frozen(stack.enter_context(closing(Bundle.open(bundle))))
        (whole,) = opened.segments
        count = whole.count
        ends = np.linspace(round(count * (1 - share)), count, segments).astype(int).tolist()
        parts = [taken(whole, range(*run)) for run in pairwise([0, *ends])]
        generator = np.random.default_rng(0)
        gone = [generator.random(part.count) < deleted for part in parts]
        base = Snapshot(opened, 1)
        snapshots = {
            "one": opened.with_segments([taken(whole, range(count))], [None]),
            f"{segments}": opened.with_segments(parts, [None] * segments),
            f"{segments}, {deleted:.0%} deleted": opened.with_segments(parts, gone),
        }
        ways = {name: base.moved(stack.enter_context(closing(s))) for name, s in snapshots.items()}
        table = Table("search", *ways, title=f"{count:,} passages: median of {len(texts)} queries")
        for name, options in _WAYS.items():
            seconds = _timed(ways, [Query(text, 10, **options) for text in texts])
            bare, *_ = (float(np.median(taken)) for taken in seconds.values())
            medians = [float(np.median(taken)) for taken in seconds.values()]
            table.add_row(name, *(f"{1e3 * one:.2f} ms, {one / bare:.2f}" for one in medians))
        Console(width=120).print(table)


def _timed(ways: dict[str, Snapshot], queries: Sequence[Query]) -> dict[str, list[float]]:
    """Seconds of the processor by way, a number a query. Raises FieldError where hits differ."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for query in queries[:_WARM]:
        for snapshot in ways.values():
            snapshot.run([query])
    for query in queries:
        hits = []
        for name, snapshot in ways.items():
            start = process_time()
            (result,) = snapshot.run([query])
            seconds[name].append(process_time() - start)
            assert isinstance(result, SearchResult)  # noqa: S101 (no query here can fail)
            hits.append([(hit.id, hit.score) for hit in result.hits])
        if hits[0] != hits[1]:
            raise FieldError("bundle", f"{query.text!r} finds something else in several segments")
    return seconds


def frozen(bundle: Bundle) -> Bundle:
    """``bundle``, whose document frequencies stay as they are whatever becomes of its segments."""
    words = bundle.segments[0].lexical
    frequencies = None if words is None else Frequencies.of(words)
    return replace(bundle, codecs=replace(bundle.codecs, frequencies=frequencies))


def taken(
    whole: Segment, rows: Sequence[int], passages: Sequence[Passage] | None = None
) -> Segment:
    """A segment in memory of the passages at ``rows`` of ``whole``, or of others, encoded like them."""
    order = np.array(rows, np.int64)
    kept = list(passages or whole.passages.get(rows))
    texts = [passage.text for passage in kept]
    vectors = whole.vectors
    return Segment.of(
        "", Passages.in_memory(kept),
        vectors=None if vectors is None else VectorIndex.like(vectors, vectors.vectors(order)),
        lexical=None if whole.lexical is None else _words(whole.lexical, order),
        tokens=_entries(whole.tokens, order), reading=_entries(whole.reading, order),
        states=_entries(whole.states, order), copies=first_alike(texts),
        keys=np.array([words_key(text) for text in texts], np.uint64),
    )  # fmt: skip


def _entries(store: JaggedStore | None, rows: Rows) -> JaggedStore | None:
    if store is None:
        return None
    columns = [store.gather(rows, number)[0] for number in range(len(store.columns))]
    return JaggedStore.of(columns, store.counts(rows).reshape(-1, 1))


def _words(postings: Postings, rows: Rows) -> Postings:
    places = np.full(postings.passages, -1)
    places[rows] = np.arange(len(rows))
    held, steps = (np.asarray(column) for column in postings.entries.columns)
    terms = np.repeat(np.arange(len(postings.vocabulary)), np.diff(postings.entries.starts))
    some = np.flatnonzero(places[held] >= 0)
    some = some[np.lexsort((places[held[some]], terms[some]))]
    counts = np.bincount(terms[some], minlength=len(postings.vocabulary))
    letters, starts = postings.vocabulary.terms.columns[0], postings.vocabulary.terms.starts
    kept = np.flatnonzero(counts)
    spelt = [letters[starts[term] : starts[term + 1]].tobytes() for term in kept.tolist()]
    return Postings.of(len(rows), spelt, counts[kept], places[held[some]], steps[some])
