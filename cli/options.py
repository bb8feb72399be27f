"""What several verbs are asked in the same words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from lurcher.models.errors import FieldError

BundlePath = Annotated[
    Path, typer.Argument(metavar="BUNDLE", help="A folder that `lurcher build` wrote.")
]

# Of a search.

# As server.searching has it, which takes long to import.
RankMode = Literal["auto", "off", "maxsim", "decoder", "reader"]
RankOption = Annotated[
    RankMode,
    typer.Option(
        help="How the best are put into a new order; auto: maxsim, where there are tokens."
    ),
]
PefaOption = Annotated[
    Literal["auto", "off", "adapted", "voting"],
    typer.Option(help="How known queries count; auto: as the bundle was tuned."),
]

# Of judged queries.

KnownQrels = Annotated[
    Path | None, typer.Option(help="What answers them: query id, passage id, weight, by tabs.")
]
DevQrels = Annotated[Path | None, typer.Option(help="Their judgements.")]
SkipUnknown = Annotated[
    bool, typer.Option("--skip-unknown", help="Leave out judgements of unknown ids.")
]

# Of making a model.

QueriesAStep = Annotated[int, typer.Option(help="Queries a step.")]
LearningRate = Annotated[float, typer.Option(help="The highest; it rises, then falls.")]
Checks = Annotated[int, typer.Option(help="Checkpoints measured, of which the best is kept.")]
Device = Annotated[Literal["cpu", "cuda"], typer.Option(help="Where to train.")]
Int8 = Annotated[bool, typer.Option(help="8-bit weights and activations, or 32-bit floats.")]


def pair(field: str, queries: Path | None, qrels: Path | None) -> tuple[Path, Path] | None:
    """Two files that go together. Raises FieldError where one of them is missing."""
    if (queries is None) != (qrels is None):
        raise FieldError(
            field, f"goes with {field.replace('qrels', 'queries')}: pass both or neither"
        )
    return None if queries is None or qrels is None else (queries, qrels)
