"""``lurcher export`` and ``export-ranker``: convert other people's models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from lurcher.cli.console import console
from lurcher.cli.extras import needing
from lurcher.cli.options import Int8

app = typer.Typer()


@app.command()
def export(
    model: Annotated[
        str, typer.Argument(help="A sentence-transformers or Hugging Face folder, or a hub name.")
    ],
    out: Annotated[
        Path, typer.Argument(help="The folder to write, for `lurcher build --encoder`.")
    ],
    int8: Int8 = True,
    pooling: Annotated[
        Literal["mean", "cls"] | None,
        typer.Option(help="How to pool tokens; default: what the folder says."),
    ] = None,
    similarity: Annotated[
        Literal["cosine", "dot"] | None,
        typer.Option(help="How to compare vectors; default: what the folder says."),
    ] = None,
    query_prompt: Annotated[str | None, typer.Option(help="Text before each query.")] = None,
    passage_prompt: Annotated[str | None, typer.Option(help="Text before each passage.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=8, help="Where texts are cut.")] = None,
) -> None:
    """Convert any text encoder to ONNX, and compare it with the original."""
    with needing("train"):
        from lurcher.training.export import export_encoder

    config = export_encoder(
        model, out, int8=int8, pooling=pooling, similarity=similarity,
        query_prompt=query_prompt, passage_prompt=passage_prompt, max_tokens=max_tokens,
    )  # fmt: skip
    console.print(
        f"{out}: {config.name}, {config.dimension} dimensions, {config.precision}", soft_wrap=True
    )


@app.command("export-ranker")
def export_ranker(
    model: Annotated[
        str, typer.Argument(help="A folder or hub name of a T5ForConditionalGeneration.")
    ],
    out: Annotated[Path, typer.Argument(help="The folder to write, for `lurcher build --ranker`.")],
    name: Annotated[
        str | None, typer.Option(help="The name that inspect shows; default: MODEL's.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(help="Where passages are cut; default: MODEL's, at most 512.")
    ] = None,
    max_query_tokens: Annotated[int, typer.Option(help="Where queries are cut.")] = 64,
    passage_prompt: Annotated[str, typer.Option(help="Text before each passage.")] = "",
    query_prompt: Annotated[str, typer.Option(help="Text before each query.")] = "",
    words: Annotated[
        tuple[str, str] | None,
        typer.Option(
            help="What MODEL writes after a query that the passage answers, and one that it does not."
        ),
    ] = None,
    score: Annotated[
        Literal["likelihood", "relevance", "both"] | None,
        typer.Option(help="The score; default: relevance with --words, otherwise likelihood."),
    ] = None,
    likelihood: Annotated[
        Literal["sum", "mean"], typer.Option(help="How to combine the tokens of the query.")
    ] = "mean",
) -> None:
    """Convert any T5 for ranking, and compare it with the original."""
    with needing("train"):
        from lurcher.training.ranker.t5 import export_t5

    config = export_t5(
        model, out, name=name, max_tokens=max_tokens, max_query_tokens=max_query_tokens,
        passage_prompt=passage_prompt, query_prompt=query_prompt, words=words, score=score,
        likelihood=likelihood,
    )  # fmt: skip
    console.print(
        f"{out}: {config.name}, {config.dimension} dimensions, by {config.score}", soft_wrap=True
    )
