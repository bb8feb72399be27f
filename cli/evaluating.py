"""``lurcher eval``: how good hits or answers are, by judged queries."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from lurcher.cli.console import console, warn
from lurcher.cli.extras import needing
from lurcher.cli.options import (
    EngineOption,
    NeighboursOption,
    RankMode,
    RankOption,
    RetrieveMode,
    RetrieveOption,
)
from lurcher.errors import FieldError
from lurcher.models.engines import EngineName

app = typer.Typer()


@app.command("eval")
def evaluate(
    target: Annotated[
        str,
        typer.Argument(metavar="BUNDLE|URL|RUN", help="A bundle, a running server, or a run file."),
    ],
    queries: Annotated[
        Path,
        typer.Option(
            help="queries.jsonl: one {_id, text} per line, with answers: [...] for --answers."
        ),
    ],
    qrels: Annotated[Path, typer.Option(help="Judgements, as BEIR or TREC writes them.")],
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
        list[str] | None,
        typer.Option(
            help="Another bundle, URL or run to compare with, query by query; can be repeated."
        ),
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
    run: Annotated[
        Path | None,
        typer.Option(help="Also write the first 100 hits of each query, as a TREC run."),
    ] = None,
    per_query: Annotated[
        Path | None,
        typer.Option(
            help="Also write the figures of each query, to a file named .csv or .parquet."
        ),
    ] = None,
) -> None:
    """Measure retrieval (nDCG@10, MRR@10, Recall@10 and @100) or answers, with 95 % intervals."""
    with needing("eval"):
        from lurcher.evaluation.answerers import AnswerOptions, open_answerer
        from lurcher.evaluation.evaluate import evaluate as measure
        from lurcher.evaluation.evaluate import evaluate_answers
    from lurcher.evaluation.answer_measures import read_answers
    from lurcher.evaluation.files import check_writable
    from lurcher.evaluation.judgements import read_qrels, read_queries
    from lurcher.evaluation.missing import missing_queries
    from lurcher.evaluation.searchers import SearchWith
    from lurcher.evaluation.tables import check_table
    from lurcher.evaluation.targets import open_target, target_of

    if answers and run is not None:
        raise FieldError("--run", "has hits, which --answers does not measure")
    for file in (json_file, run):
        if file is not None:
            check_writable(file)
    if per_query is not None:
        check_table(per_query, "--per-query")
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
            first = target_of(target)
            flags = SearchWith(neighbours, rank, candidates, retrieve, engine)
            if flags != SearchWith():
                first = replace(first, how=flags)
            others = [target_of(other, first) for other in against or ()]
            if (against_rank, against_retrieve, against_engine) != (None,) * 3:
                theirs = SearchWith(
                    "auto" if others else neighbours, against_rank or "auto", candidates,
                    against_retrieve or "auto", against_engine or "auto",
                )  # fmt: skip
                others = [replace(other, how=theirs) for other in others or [first]]
            elif candidates is not None:
                others = [
                    replace(one, how=replace(one.how, candidates=candidates)) for one in others
                ]
            found = measure(
                opened.enter_context(open_target(first, named)), texts, judged, limit,
                [opened.enter_context(open_target(other, named)) for other in others],
            )  # fmt: skip
    if json_file is not None:
        json_file.write_text(json.dumps(found.as_dict(), indent=1) + "\n")
    if run is not None:
        found.write_run(run)
    if per_query is not None:
        found.write_per_query(per_query)
    for warning in found.warnings:
        warn(warning)
    console.print(f"{found.target}, {found.queries:,} queries")
    for name, figure in found.figures.items():
        console.print(f"  {name:<11} {figure.mean:.4f}  [{figure.low:.4f}, {figure.high:.4f}]")
    for other in found.against:
        console.print(f"against {other.target}, which has", soft_wrap=True)
        for name, change in other.differences.items():
            console.print(
                f"  {name:<11} {change.mean:+.4f}  [{change.low:+.4f}, {change.high:+.4f}]  "
                f"p {shown_p(change.p)}, corrected {shown_p(change.p_corrected)}",
                soft_wrap=True,
            )
    if found.against:
        tests = sum(len(other.differences) for other in found.against)
        console.print(
            f"p: two-sided paired randomisation test; corrected by Holm for {tests} tests",
            soft_wrap=True,
        )


def shown_p(p: float) -> str:
    """``p`` with three digits, and without the 0 before the point."""
    return "< .001" if p < 0.001 else f"{p:.3f}".removeprefix("0")
