"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from lurcher.errors import FieldError
from lurcher.models.engines import EngineName

BundlePath = Annotated[
    Path, typer.Argument(metavar="BUNDLE", help="A folder that `lurcher build` wrote.")
]

# For searching.

# As in retrieval.query, whose import is slow.
RetrieveMode = Literal["auto", "hybrid", "dense", "lexical"]
RetrieveOption = Annotated[
    RetrieveMode,
    typer.Option(
        help="What finds candidates: vectors (dense), words (lexical) or both (hybrid); auto: what there is."
    ),
]
RankMode = Literal["auto", "off", "maxsim", "decoder", "t5", "reader"]
RankOption = Annotated[
    RankMode,
    typer.Option(help="How to rank candidates; auto: maxsim if the bundle has tokens."),
]
EngineOption = Annotated[
    EngineName,
    typer.Option(help="What runs the encoder; auto: native if that is faster, else onnxruntime."),
]
NeighboursOption = Annotated[
    Literal["auto", "off", "adapted", "voting"],
    typer.Option(help="How known queries count; auto: as the bundle was tuned."),
]

# For judged queries.

KnownQrels = Annotated[
    Path | None,
    typer.Option(help="Their judgements: query id, passage id, weight, separated by tabs."),
]
DevQrels = Annotated[Path | None, typer.Option(help="The judgements of --dev-queries.")]
SkipUnknown = Annotated[
    bool, typer.Option("--skip-unknown", help="Ignore judgements of unknown ids.")
]

# For training.

QueriesAStep = Annotated[int, typer.Option(help="Queries per step.")]
LearningRate = Annotated[float, typer.Option(help="Maximum learning rate; it rises, then falls.")]
Checks = Annotated[int, typer.Option(help="Number of checkpoints to measure; the best is kept.")]
Device = Annotated[Literal["cpu", "cuda"], typer.Option(help="Where to train.")]
Int8 = Annotated[bool, typer.Option(help="8-bit weights and activations, or 32-bit floats.")]


def pair(field: str, queries: Path | None, qrels: Path | None) -> tuple[Path, Path] | None:
    """Return two files that belong together. Raises FieldError if only one is given."""
    if (queries is None) != (qrels is None):
        raise FieldError(
            field, f"goes with {field.replace('qrels', 'queries')}: pass both or neither"
        )
    return None if queries is None or qrels is None else (queries, qrels)
