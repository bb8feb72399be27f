"""``lurcher``: one thin function per command, which imports what it needs when it runs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from lurcher.cli import (
    benchmarks,
    building,
    calibrating,
    changing,
    clustering,
    comparing,
    compressing,
    diagnosing,
    evaluating,
    exporting,
    inspecting,
    searching,
    serving,
    training,
    writing,
)
from lurcher.cli.console import errors, replace_what_cannot_be_shown
from lurcher.errors import LurcherError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A retrieval server for machines without a GPU.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"lurcher {version('lurcher')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Take what is said before a command."""


# `lurcher --help` lists them in this order.
app.add_typer(building.app)
app.add_typer(inspecting.app)
app.add_typer(changing.app)
app.add_typer(calibrating.app)
app.add_typer(writing.app)
app.add_typer(searching.app)
app.add_typer(evaluating.app)
app.add_typer(comparing.app)
app.add_typer(exporting.app)
app.add_typer(compressing.app)
app.add_typer(serving.app)
app.add_typer(clustering.app)
app.add_typer(diagnosing.app)
app.add_typer(benchmarks.app)
app.add_typer(training.app, name="train")


def main() -> None:
    """Run the command line; one of our own errors is one line on stderr and exit status 1."""
    replace_what_cannot_be_shown()
    try:
        app(prog_name="lurcher")
    except LurcherError as error:
        _fail(str(error))
    except OSError as error:  # a full disk, a file without permission
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))


def _fail(message: str) -> None:
    errors.print("error ", end="", style="bold red")
    errors.print(message, soft_wrap=True)
    sys.exit(1)
