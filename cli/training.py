"""``lurcher train``: tokens, ranker and reader."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lurcher.cli.console import console, report_line
from lurcher.cli.extras import needing
from lurcher.cli.options import (
    BundlePath,
    Checks,
    Device,
    DevQrels,
    LearningRate,
    QueriesAStep,
    SkipUnknown,
    pair,
)
from lurcher.cli.sections import print_section

if TYPE_CHECKING:
    from lurcher.models.reader.reader import ReaderConfig

app = typer.Typer(
    no_args_is_help=True, help="Train rankers, readers and projections on your own queries."
)

Queries = Annotated[Path, typer.Option(help="queries.jsonl: one {_id, text} per line.")]
Qrels = Annotated[
    Path, typer.Option(help="Their judgements: query id, passage id, grade, separated by tabs.")
]
Steps = Annotated[int, typer.Option(help="Training steps.")]
Heads = Annotated[int, typer.Option(help="Attention heads.")]


@app.command("tokens")
def train_tokens(
    bundle: BundlePath,
    out: Annotated[
        Path, typer.Option(help="The file to write; to use it, put it into the encoder's folder.")
    ],
    queries: Queries,
    qrels: Qrels,
    dev_queries: Annotated[
        Path, typer.Option(help="Judged queries to choose the best projection by.")
    ],
    dev_qrels: Annotated[Path, typer.Option(help="The judgements of --dev-queries.")],
    skip_unknown: SkipUnknown = False,
    steps: Steps = 500,
    recovery: Annotated[
        float,
        typer.Option(help="Weight of the recovery loss: how well states can be restored (BTR)."),
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of the choice and order of queries.")] = 0,
) -> None:
    """Train the projection that turns an encoder's token states into 1-bit codes, on judged queries."""
    with needing("train"):
        from lurcher.training.loop import Point
        from lurcher.training.tokens.projection_training import Plan
        from lurcher.training.tokens.train import train_tokens as run

    def report(point: Point) -> None:
        report_line(point.line(steps))

    plan = Plan(steps=steps, recovery=recovery, seed=seed)
    run(bundle, (queries, qrels), (dev_queries, dev_qrels), out, plan, report, skip_unknown)
    console.print(f"{out}: save it as projection.npz in the encoder's folder", soft_wrap=True)


@app.command("ranker")
def train_ranker(
    bundle: BundlePath,
    out: Annotated[Path, typer.Option(help="The decoder's folder.")],
    queries: Queries,
    qrels: Qrels,
    dev_queries: Annotated[
        Path | None,
        typer.Option(
            help="Judged queries to choose the checkpoint by; default: a tenth of the others."
        ),
    ] = None,
    dev_qrels: DevQrels = None,
    cross_scores: Annotated[
        Path | None,
        typer.Option(help="A cross-encoder's scores to learn from: query id, passage id, score."),
    ] = None,
    skip_unknown: SkipUnknown = False,
    candidates: Annotated[
        int, typer.Option(help="Candidates per query to train on: the best by late interaction.")
    ] = 50,
    steps: Annotated[int, typer.Option(help="Training steps; too many overfit.")] = 1_000,
    batch: QueriesAStep = 16,
    negatives: Annotated[int, typer.Option(help="Wrong passages per query and step.")] = 19,
    width: Annotated[int, typer.Option(help="Dimensions per query token.")] = 64,
    heads: Heads = 4,
    layers: Annotated[int, typer.Option(help="Self-attention layers over the query.")] = 1,
    crossings: Annotated[int, typer.Option(help="Cross-attention layers over the passage.")] = 1,
    dropout: Annotated[float, typer.Option(help="Dropout rate.")] = 0.1,
    learning_rate: LearningRate = 1e-3,
    checks: Checks = 5,
    seed: Annotated[int, typer.Option(help="Seed of the weights and the order of queries.")] = 0,
    device: Device = "cpu",
    name: Annotated[
        str | None, typer.Option(help="The decoder's name; default: the name of --out.")
    ] = None,
) -> None:
    """Train a decoder that ranks better than late interaction, on judged queries."""
    with needing("train"):
        from lurcher.training.ranker.decoder_training import Schedule
        from lurcher.training.ranker.train import Plan, Sources
        from lurcher.training.ranker.train import train_ranker as run

    sources = Sources(
        queries, qrels, pair("dev_qrels", dev_queries, dev_qrels), cross_scores, skip_unknown
    )
    schedule = Schedule(steps, batch, learning_rate, checks=checks, seed=seed, negatives=negatives)
    plan = Plan(width, heads, layers, crossings, dropout, candidates, schedule, device)

    config = run(bundle, sources, out, plan, report_line, name)
    console.print(f"{out}: the weights of step {config.steps:,}", soft_wrap=True)
    found = {
        name: f"{after:.4f}, {before:.4f} before"
        for name, (before, after) in config.figures.items()
    }
    print_section("development", found)


@app.command("reader")
def train_reader(
    bundle: BundlePath,
    out: Annotated[Path, typer.Option(help="The reader's folder.")],
    queries: Annotated[
        Path, typer.Option(help="queries.jsonl: one {_id, text, answers: [...]} per line.")
    ],
    qrels: Annotated[
        Path, typer.Option(help="Which passages contain the answers: query id, passage id, grade.")
    ],
    dev_queries: Annotated[
        Path | None,
        typer.Option(help="Questions to choose the checkpoint by; default: a tenth of the others."),
    ] = None,
    dev_qrels: DevQrels = None,
    skip_unknown: SkipUnknown = False,
    name: Annotated[
        str | None, typer.Option(help="The reader's name; default: the name of --out.")
    ] = None,
    steps: Steps = 4_000,
    batch: Annotated[int, typer.Option(help="Questions per step.")] = 24,
    width: Annotated[int, typer.Option(help="Dimensions per token.")] = 256,
    heads: Heads = 8,
    layers: Annotated[int, typer.Option(help="Layers over question and passage.")] = 3,
    inner: Annotated[int, typer.Option(help="Width of the feed-forward layers.")] = 1_024,
    learning_rate: LearningRate = 1e-3,
    checks: Checks = 10,
    seed: Annotated[int, typer.Option(help="Seed of the weights and the order of questions.")] = 0,
    device: Device = "cpu",
) -> None:
    """Train a reader that finds answers in passages, on questions with answers."""
    with needing("train"):
        from lurcher.training.ranker.train import Sources
        from lurcher.training.reader.train import Plan
        from lurcher.training.reader.train import train_reader as run
        from lurcher.training.schedule import Schedule

    sources = Sources(
        queries, qrels, pair("dev_qrels", dev_queries, dev_qrels), skip_unknown=skip_unknown
    )
    schedule = Schedule(steps, batch, learning_rate, warmup=200, checks=checks, seed=seed)
    plan = Plan(width, heads, layers, inner, schedule, device)

    config = run(bundle, sources, out, plan, name, report_line)
    _print_reader(out, config)


@app.command("tune-reader")
def tune_reader(
    bundle: BundlePath,
    out: Annotated[Path, typer.Option(help="The reader's folder.")],
    questions: Annotated[
        list[str],
        typer.Option(
            help="QUERIES or QUERIES,QRELS: a queries.jsonl with answers; without judgements, passages that "
            "a search finds and that hold an answer may be right. May be repeated."
        ),
    ],
    held: Annotated[
        list[str],
        typer.Option(help="The same, to choose the checkpoint by and to calibrate on."),
    ],
    start: Annotated[
        Path | None, typer.Option(help="The reader to go on from; default: the bundle's.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The reader's name; default: the name of --out.")
    ] = None,
    most: Annotated[
        int, typer.Option(min=1, help="Questions of each file to learn from, at most.")
    ] = 20_000,
    held_most: Annotated[
        int, typer.Option(min=1, help="Questions of each held file, at most.")
    ] = 400,
    doubt: Annotated[
        float,
        typer.Option(
            help='How much "nothing answers" counts as right where nobody has judged the passages.'
        ),
    ] = 0.05,
    kept: Annotated[
        float,
        typer.Option(help="What the weights it began with count in the mean that is the result."),
    ] = 0.5,
    steps: Steps = 1_600,
    batch: Annotated[int, typer.Option(help="Questions per step.")] = 16,
    learning_rate: LearningRate = 3e-4,
    checks: Checks = 8,
    seed: Annotated[int, typer.Option(help="Seed of which questions, and of their order.")] = 0,
) -> None:
    """Train a reader on: on questions of several kinds, over all passages that a search finds."""
    with needing("train"):
        from lurcher.training.reader.open_sources import Sheet
        from lurcher.training.reader.tune import TunePlan
        from lurcher.training.reader.tune import tune_reader as run
        from lurcher.training.schedule import Schedule

    def sheets(given: list[str]) -> list[Sheet]:
        pairs = [one.partition(",") for one in given]
        return [Sheet(Path(a), Path(b) if b else None) for a, _, b in pairs]

    schedule = Schedule(steps, batch, learning_rate, warmup=100, checks=checks, seed=seed)
    plan = TunePlan(most, held_most, doubt, kept, schedule)
    config = run(
        bundle,
        start or bundle / "reader",
        sheets(questions),
        sheets(held),
        out,
        plan,
        name,
        report_line,
    )
    _print_reader(out, config)


def _print_reader(out: Path, config: ReaderConfig) -> None:
    """Print what a new reader was measured to do."""
    figures = ", ".join(f"{measure} {value:.4f}" for measure, value in config.figures.items())
    line = f"{out}: {config.questions:,} questions, {figures}"
    console.print(line, soft_wrap=True)
