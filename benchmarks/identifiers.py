"""``lurcher bench identifiers``: does a query of one exact identifier find the passage that holds it?

Identifiers (part numbers, names of functions, DOIs, versions, paths ...) are drawn from a bundle's own
passages; each is one that a single document of the bundle holds. It counts as found if the first hit
is a passage that holds it.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.table import Table

import lurcher
from lurcher.benchmarks.identifier_queries import IdentifierQuery, holds, identifier_queries
from lurcher.bundle.bundle import Bundle
from lurcher.collection import Collection, SearchOptions
from lurcher.errors import InputError

_HITS = 10


def main(
    bundles: Annotated[list[Path], typer.Argument(help="Bundles to draw from and to search.")],
    count: Annotated[int, typer.Option(min=1, help="Queries a bundle.")] = 200,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 1,
    retrieve: Annotated[
        str | None, typer.Option(help="auto, hybrid, dense or lexical; as a search's own.")
    ] = None,
    rank: Annotated[str | None, typer.Option(help="As a search's own.")] = None,
) -> None:
    """Print the share of identifiers whose passage is the first hit, by kind, and those that are not."""
    given = {"retrieve": retrieve, "rank": rank}
    options = {name: value for name, value in given.items() if value is not None}
    console = Console(width=120)
    for path in bundles:
        queries = drawn(path, count, seed)
        with lurcher.open(path) as collection:
            places = list(zip(queries, found(collection, queries, options), strict=True))
        console.print(_table(path.name, places))
        for query, place in places:
            if place != 1:
                where = "not in ten" if place is None else f"hit {place}"
                console.print(
                    f"  {query.kind}: {query.text} ({query.document}): {where}",
                    highlight=False, markup=False, soft_wrap=True,
                )  # fmt: skip


def drawn(path: Path, count: int, seed: int) -> list[IdentifierQuery]:
    """Queries of the passages of the bundle at ``path``. Raises InputError if they have no identifier."""
    bundle = Bundle.open(path)
    try:
        passages = bundle.passages
        queries = identifier_queries(passages.get(range(passages.count)), count, seed)
    finally:
        bundle.close()
    if not queries:
        raise InputError(f"{path}: no identifier stands in one document only")
    return queries


def found(
    collection: Collection, queries: list[IdentifierQuery], options: dict[str, Any]
) -> list[int | None]:
    """At which place, from 1, the first hit that holds it stands for each query; None: not in ten."""
    results = collection.search_many(
        [query.text for query in queries], _HITS, **cast(SearchOptions, options)
    )
    return [
        next((i for i, hit in enumerate(one.hits, 1) if holds(hit.passage, query.text)), None)
        for query, one in zip(queries, results, strict=True)
    ]


def _table(name: str, places: list[tuple[IdentifierQuery, int | None]]) -> Table:
    table = Table(name, "queries", "first", "in ten")
    by_kind: dict[str, list[int | None]] = defaultdict(list)
    for query, place in places:
        by_kind[query.kind].append(place)
    by_kind["all"] = [place for _, place in places]
    for kind, some in by_kind.items():
        first, in_ten = sum(p == 1 for p in some), sum(p is not None for p in some)
        table.add_row(kind, f"{len(some)}", f"{first / len(some):.1%}", f"{in_ten / len(some):.1%}")
    return table
