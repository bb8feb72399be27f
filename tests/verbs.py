"""All that the command line can be asked, walked from its code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import typer.main

from lurcher import cli


def _walk(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, found in command.commands.items():
        below = (*words, name)
        if hasattr(found, "commands"):
            yield from _walk(found, below)
        else:
            yield " ".join(below), found


# Each command by its verb, such as "build" or "train ranker".
VERBS: dict[str, Any] = dict(_walk(cast(Any, typer.main.get_command(cli.app))))


def flags() -> list[tuple[str, str]]:
    """Each flag with its verb; of a pair such as --int8/--no-int8 the first."""
    return [
        (verb, max(parameter.opts, key=len))
        for verb, command in VERBS.items()
        for parameter in command.params
        if parameter.param_type_name == "option" and parameter.name != "help"
    ]
