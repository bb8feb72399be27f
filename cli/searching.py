"""``lurcher search``: answer one query."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

import lurcher
from lurcher.cli.console import console, print_json
from lurcher.cli.options import (
    BundlePath,
    EngineOption,
    NeighboursOption,
    RankOption,
    RetrieveOption,
)

app = typer.Typer()


@app.command()
def search(
    bundle: BundlePath,
    query: Annotated[str, typer.Argument(help="What to look for.")],
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=1, help="Maximum number of hits.")] = 5,
    filter_: Annotated[
        str | None, typer.Option("--filter", help="Conditions on metadata, as JSON.")
    ] = None,
    retrieve: RetrieveOption = "auto",
    query_syntax: Annotated[
        Literal["plain", "phrase"],
        typer.Option(help="phrase: hits have what QUERY has in quotes, word by word."),
    ] = "plain",
    neighbours: NeighboursOption = "auto",
    rank: RankOption = "auto",
    candidates: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many passages to rank; default: 100 (75 if words find some), or --top-k if larger.",
        ),
    ] = None,
    fold: Annotated[
        bool, typer.Option(help="Show one of all passages with nearly the same text.")
    ] = True,
    group_by: Annotated[
        Literal["document"] | None,
        typer.Option(help="Show the best passage of each document only."),
    ] = None,
    engine: EngineOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per hit.")] = False,
) -> None:
    """Answer one query without a server."""
    from lurcher.printed import print_hit
    from lurcher.retrieval.query import check_candidates

    if rank != "off":  # by the flag's own name
        check_candidates("--top-k", top_k, candidates)
    with lurcher.open(bundle, engine=engine) as collection:
        result = collection.search(
            query, top_k, filter=filter_, retrieve=retrieve, query_syntax=query_syntax,
            neighbours=neighbours, rank=rank, candidates=candidates, fold=fold, group_by=group_by,
            include=() if as_json else ("highlights",),
        )  # fmt: skip
    if not result.hits and not as_json:
        console.print("no passage found", style="dim")
    for hit in result.hits:
        if as_json:
            fields = {"id": hit.id, "score": hit.score, "scores": hit.scores,
                      "title": hit.title, "text": hit.text,
                      "metadata": hit.passage.metadata, "duplicates": hit.duplicates,
                      "document": hit.passage.document, "section": hit.passage.section,
                      "start": hit.passage.start, "end": hit.passage.end,
                      "anchor": hit.passage.anchor, "url": hit.passage.url}  # fmt: skip
            print_json(fields)
        else:
            name, found = hit.passage.url or hit.id, hit.explanation.highlights or ()
            print_hit(console, hit.score, hit.title, name, hit.text, found)
            if hit.duplicates:
                more = f"and {hit.duplicates:,} more with nearly this text"
                console.print(f"       {more}", style="dim", highlight=False)
