"""``lurcher compress``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from lurcher.cli.console import console, report_line
from lurcher.cli.extras import needing
from lurcher.cli.options import Checks, Device, DevQrels, Int8, LearningRate, QueriesAStep, pair
from lurcher.cli.sections import kept, print_section, warn_of_loss
from lurcher.errors import FieldError

app = typer.Typer()


@app.command()
def compress(
    teacher: Annotated[
        Path, typer.Argument(metavar="BUNDLE|TEACHER", help="A bundle, or an encoder's folder.")
    ],
    out: Annotated[Path, typer.Option(help="The student's folder, for `lurcher swap-encoder`.")],
    queries: Annotated[
        list[Path] | None,
        typer.Option(
            help="queries.jsonl: one {_id, text} per line; may be repeated. "
            "Default: texts of the BUNDLE's passages alone."
        ),
    ] = None,
    corpus_texts: Annotated[
        int,
        typer.Option(
            min=0,
            help="Titles, sentences and keywords of the BUNDLE's passages beside the queries.",
        ),
    ] = 20_000,
    layers: Annotated[
        str | None,
        typer.Option(
            help="Layers to keep, such as 0,5; or none, for a table of tokens. Default: all."
        ),
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(help="How many layers to keep, from both ends, instead of --layers."),
    ] = None,
    sparsity: Annotated[
        float, typer.Option(help="Share of zeros in the layers' weights, below 1.")
    ] = 0.0,
    pattern: Annotated[
        Literal["unstructured", "4-block"],
        typer.Option(help="Where zeros may be: anywhere, or in blocks of four."),
    ] = "unstructured",
    rank: Annotated[
        int,
        typer.Option(help="Numbers per token that correct the teacher's embeddings; 0 for none."),
    ] = 32,
    int8: Int8 = True,
    losses: Annotated[
        str | None,
        typer.Option(
            help="Losses with weights, of kl, l2, cosine, scores and tokens. "
            "Default: l2:4,tokens:1. scores needs a BUNDLE."
        ),
    ] = None,
    epochs: Annotated[float, typer.Option(help="Passes over the queries.")] = 1.0,
    batch: QueriesAStep = 64,
    learning_rate: LearningRate = 2e-3,
    checks: Checks = 5,
    seed: Annotated[int, typer.Option(help="Seed of the order of queries.")] = 0,
    device: Device = "cpu",
    original: Annotated[
        str | None,
        typer.Option(
            help="The teacher's original weights: a folder or hub name. Default: what it names."
        ),
    ] = None,
    dev_queries: Annotated[
        Path | None,
        typer.Option(help="Judged queries to choose the checkpoint by; needs a BUNDLE."),
    ] = None,
    dev_qrels: DevQrels = None,
) -> None:
    """Make a smaller query encoder from queries and passages' texts; passages stay as they are."""
    with needing("train"):
        from lurcher.training.alignment.make_student import MIX, Plan
        from lurcher.training.compress import Judged
        from lurcher.training.compress import compress as run
    from lurcher.evaluation.judgements import read_qrels, read_queries

    judged = None
    if dev := pair("dev_qrels", dev_queries, dev_qrels):
        judged = Judged(dev[1].stem, read_queries(dev[0]), read_qrels(dev[1]))
    plan = Plan(
        _layer_numbers(layers), depth, sparsity, pattern, rank, int8, _weights(losses) or MIX, epochs,
        batch, learning_rate, checks, seed, device,
    )  # fmt: skip
    texts = [text for file in queries or [] for text in read_queries(file).values()]
    config = run(
        teacher, texts, out, plan, original=original, judged=judged, corpus_texts=corpus_texts,
        report=report_line,
    )  # fmt: skip
    console.print(
        f"{out}: {config.name}, {len(config.layers)} layers, {config.precision}", soft_wrap=True
    )
    print_section("against its teacher", kept(config))
    warn_of_loss(config)


def _layer_numbers(text: str | None) -> tuple[int, ...] | None:
    if text is None or text == "none":
        return None if text is None else ()
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise FieldError("layers", f"{text!r} is not layer numbers such as 0,5, or none") from None


def _weights(text: str | None) -> dict[str, float]:
    """Return the loss weights in ``name:weight,...``; the default weight is 1."""
    found: dict[str, float] = {}
    for part in (text or "").split(",") if text else []:
        name, _, weight = part.partition(":")
        try:
            found[name] = float(weight or 1)
        except ValueError:
            raise FieldError("losses", f"{part!r}: {weight!r} is not a number") from None
    return found
