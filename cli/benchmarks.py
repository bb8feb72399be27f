"""``lurcher bench`` and ``lurcher load``."""

from __future__ import annotations

from typing import Annotated

import typer

from lurcher.cli.extras import needing
from lurcher.errors import FieldError

app = typer.Typer()

_BENCHMARKS = (
    "build", "cluster", "encoder", "engines", "fairness", "faults", "feedback", "follow", "gold",
    "hybrid", "identifiers", "neighbours", "ranker", "reader", "segments", "server", "shards",
    "students", "upserts", "workers", "writes",
)  # fmt: skip


# Without a --help of their own, so that one after NAME reaches the benchmark.
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command(add_help_option=False, context_settings=_PASSED_ON)
def bench(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help=f"{', '.join(_BENCHMARKS[:-1])} or {_BENCHMARKS[-1]}.")
    ] = None,
) -> None:
    """Run a benchmark; the arguments after NAME are the benchmark's own: try `lurcher bench NAME --help`."""
    if name in (None, "--help"):
        print(context.get_help())
        return
    if name not in _BENCHMARKS:
        raise FieldError("name", f"no benchmark {name!r}; there are: {', '.join(_BENCHMARKS)}")
    _run(name, context.args, f"lurcher bench {name}")


@app.command(add_help_option=False, context_settings=_PASSED_ON)
def load(context: typer.Context) -> None:
    """Find how many searches a second a server carries: try `lurcher load --help`."""
    _run("load", context.args, "lurcher load")


def _run(name: str, arguments: list[str], command: str) -> None:
    """Run the benchmark ``name`` as ``command``."""
    import importlib

    with needing("bench"):
        module = importlib.import_module(f"lurcher.benchmarks.{name}")
    tool = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    tool.command()(module.main)
    tool(args=arguments, prog_name=command)
