"""``lurcher search`` and ``eval``."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

import typer

import lurcher
from lurcher.cli.console import console, print_json, warn
from lurcher.cli.extras import needing
from lurcher.cli.options import (
    BundlePath,
    EngineOption,
    NeighboursOption,
    RankMode,
    RankOption,
    RetrieveMode,
    RetrieveOption,
)
from lurcher.models.engines import EngineName

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


@app.command("eval")
def evaluate(
    target: Annotated[
        str, typer.Argument(metavar="BUNDLE|URL", help="A bundle, or a running server.")
    ],
    queries: Annotated[
        Path,
        typer.Option(
            help="queries.jsonl: one {_id, text} per line, with answers: [...] for --answers."
        ),
    ],
    qrels: Annotated[
        Path, typer.Option(help="Judgements: query id, passage id, grade, separated by tabs.")
    ],
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many queries.")
    ] = None,
    answers: Annotated[
        bool, typer.Option("--answers", help="Measure answers (EM and F1) instead of retrieval.")
    ] = False,
    read_depth: Annotated[int, typer.Option(min=1, help="Hits to read per question.")] = 10,
    min_score: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Minimum probability of an answer; default: the reader's threshold."
        ),
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Another bundle or URL to compare with, query by query.")
    ] = None,
    retrieve: RetrieveOption = "auto",
    neighbours: NeighboursOption = "auto",
    rank: RankOption = "auto",
    candidates: Annotated[
        int | None,
        typer.Option(min=1, help="How many passages to rank; no more are found. Default: 100."),
    ] = None,
    against_retrieve: Annotated[
        RetrieveMode | None,
        typer.Option(
            help="What finds candidates in --against; without --against, compare BUNDLE with itself."
        ),
    ] = None,
    against_rank: Annotated[
        RankMode | None,
        typer.Option(
            help="How --against ranks; without --against, compare BUNDLE with itself ranked this way."
        ),
    ] = None,
    engine: EngineOption = "auto",
    against_engine: Annotated[
        EngineName | None,
        typer.Option(
            help="What runs --against's encoder; without --against, compare BUNDLE with itself run this way."
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the figures to this file.")
    ] = None,
) -> None:
    """Measure retrieval (nDCG@10, MRR@10, Recall@10 and @100) or answers, with 95 % intervals."""
    with needing("eval"):
        from lurcher.evaluation.answerers import AnswerOptions, open_answerer
        from lurcher.evaluation.evaluate import evaluate as measure
        from lurcher.evaluation.evaluate import evaluate_answers
        from lurcher.evaluation.searchers import SearchWith, open_searcher
    from lurcher.evaluation.answer_measures import read_answers
    from lurcher.evaluation.judgements import read_qrels, read_queries
    from lurcher.evaluation.missing import missing_queries

    texts, judged = read_queries(queries), read_qrels(qrels)
    with ExitStack() as opened:
        if answers:
            for warning in missing_queries(list(judged), texts):
                warn(warning)
            questions = {id_: texts[id_] for id_ in judged if id_ in texts}
            options = AnswerOptions(read_depth, min_score, rank, retrieve)
            answerer = opened.enter_context(open_answerer(target, options, engine))
            found = evaluate_answers(answerer, questions, read_answers(queries), limit)
        else:
            named = {id_ for grades in judged.values() for id_ in grades}
            searcher = opened.enter_context(
                open_searcher(
                    target, SearchWith(neighbours, rank, candidates, retrieve, engine), named
                )
            )
            other = None
            if (against, against_rank, against_retrieve, against_engine) != (None,) * 4:
                theirs = SearchWith(
                    neighbours if against is None else "auto", against_rank or "auto", candidates,
                    against_retrieve or "auto", against_engine or "auto",
                )  # fmt: skip
                other = opened.enter_context(open_searcher(against or target, theirs, named))
            found = measure(searcher, texts, judged, limit, other)
    if json_file is not None:
        json_file.write_text(json.dumps(found.as_dict(), indent=1) + "\n")
    for warning in found.warnings:
        warn(warning)
    console.print(f"{found.target}, {found.queries:,} queries", highlight=False)
    for name, figure in found.figures.items():
        line = f"  {name:<11} {figure.mean:.4f}  [{figure.low:.4f}, {figure.high:.4f}]"
        if found.against is not None:
            change = found.against[name]
            line += f"   against: {change.mean:+.4f}  [{change.low:+.4f}, {change.high:+.4f}]"
        console.print(line, markup=False, highlight=False)
