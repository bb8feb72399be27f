"""``lurcher calibrate``: fit the probabilities of a bundle's answers to it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lurcher.cli.console import console, report_line, warn
from lurcher.cli.options import BundlePath
from lurcher.cli.sections import print_section

app = typer.Typer()


@app.command()
def calibrate(
    bundle: BundlePath,
    questions: Annotated[
        Path | None,
        typer.Option(
            help="queries.jsonl: one {_id, text, answers: [...]} per line; default: sentences of the corpus "
            "with a phrase left out."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of which sentences are taken.")] = 0,
) -> None:
    """Fit the probabilities of answers to a bundle, in place; nothing else of it changes."""
    from lurcher.index_builder.edit.calibrate import calibrate as run

    def report(done: int, total: int) -> None:
        report_line(f"asked {done:,} of {total:,} questions")

    outcome = run(bundle, questions, seed=seed, report=report)
    reader, fitted = outcome.reader, outcome.fitted
    if outcome.kept is None:
        console.print(f"{bundle}: calibrated on {reader.calibrated_on}", soft_wrap=True)
    else:
        warn(f"{bundle} keeps the values that it had: {outcome.kept}")
    rows = {
        "asked, answered, right": f"{outcome.asked:,}, {outcome.answered:,}, {outcome.right:,}",
        "calibrated by": reader.calibrated_by,
        "calibrated on": reader.calibrated_on or "nobody knows what",
        "min_score": reader.min_score,
    }
    if fitted is not None:
        rows["calibration error, held out"] = (
            f"{fitted.error_after:.4f}, was {fitted.error_before:.4f}"
        )
    print_section("answers", rows)
