"""``lurcher demo``, ``serve``, ``mcp`` and ``key``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from lurcher.cli.console import console, progress
from lurcher.cli.options import BundlePath
from lurcher.threads import one_blas_thread

app = typer.Typer()


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="Print the answers and stop.")] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to serve on; 0 picks a free one.")
    ] = 8080,
    folder: Annotated[
        Path | None, typer.Option(help="Where to keep the bundle; default: the cache folder.")
    ] = None,
) -> None:
    """Index the documentation of this Python, serve it, and ask three questions."""
    one_blas_thread()
    import webbrowser

    from lurcher.index_builder.demo import demo_bundle, demo_folder
    from lurcher.server.demo import ask
    from lurcher.server.run import serve as run
    from lurcher.server.settings import load_settings

    with progress() as bar:
        path, manifest = demo_bundle(folder or demo_folder(), bar)
    console.print(f"{manifest.passages:,} docstrings of Python's standard library in {path}")

    def visit(url: str) -> bool:
        ask(url, console)
        if not once:
            console.print(f"\nThe search page: {url}   (Ctrl-C stops)")
            webbrowser.open(url)
        return not once

    flags = {
        "bundle": path,
        "port": 0 if once else port,
        "workers": 1,
        "log_level": "warning",
        "log_format": "console",
    }
    run(load_settings(None, flags), visit)


def _with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Return ``command`` with a flag for every setting, so that a setting is defined in one place."""
    from lurcher.server.settings import Settings

    kinds: dict[str, Any] = {
        "config": Annotated[Path | None, typer.Option(help="A TOML file of settings.")]
    }
    for name, field in Settings.model_fields.items():
        kind: Any = field.annotation
        place: Any = (
            typer.Argument(metavar="[BUNDLE]...", help=field.description)
            if name == "bundle"
            else typer.Option(help=field.description, case_sensitive=False)
        )
        kinds[name] = Annotated[kind | None, place]
    command.__annotations__ = kinds
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # what inspect reads
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
            for name, kind in kinds.items()
        ]
    )
    return command


@app.command()
@_with_settings
def serve(**given: Any) -> None:
    """Serve bundles over HTTP. Every flag can also be set in the environment (LURCHER_...) or a file."""
    one_blas_thread()
    from lurcher.server.run import serve as run
    from lurcher.server.settings import load_settings

    config = given.pop("config")
    flags = {name: value for name, value in given.items() if value not in (None, [])}
    notes: list[str] = []
    run(load_settings(config, flags, notes.append), notes=notes)


@app.command()
def mcp(bundle: BundlePath) -> None:
    """Give a program that runs this command tools to search a bundle: MCP on standard input and output."""
    one_blas_thread()
    import asyncio
    import sys

    import lurcher
    from lurcher.server.protocols.mcp.pipe import serve_pipe

    with lurcher.open(bundle) as collection:
        asyncio.run(serve_pipe(collection, sys.stdin.buffer, sys.stdout.buffer))


@app.command("key")
def make_key() -> None:
    """Make an API key for a caller, and its hash for the server's settings."""
    from lurcher.server.keys import key_hash, new_key

    key = new_key()
    print(f'{key}\n\nThis is shown only once. In the settings file (or use read_keys):\n'
          f'write_keys = ["{key_hash(key)}"]')  # fmt: skip
