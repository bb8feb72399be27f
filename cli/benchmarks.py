"""``lurcher bench``."""

from __future__ import annotations

from typing import Annotated

import typer

from lurcher.cli.extras import needing
from lurcher.errors import FieldError

app = typer.Typer()

_BENCHMARKS = (
    "build", "encoder", "feedback", "gold", "neighbours", "ranker", "reader", "server", "students",
)  # fmt: skip


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(help=f"{', '.join(_BENCHMARKS[:-1])} or {_BENCHMARKS[-1]}.")
    ],
) -> None:
    """Run a benchmark; the arguments after NAME are the benchmark's own (try --help)."""
    import importlib

    if name not in _BENCHMARKS:
        raise FieldError("name", f"no benchmark {name!r}; there are: {', '.join(_BENCHMARKS)}")
    with needing("bench"):
        module = importlib.import_module(f"lurcher.benchmarks.{name}")
    tool = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    tool.command()(module.main)
    tool(args=context.args, prog_name=f"lurcher bench {name}")
