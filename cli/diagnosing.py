"""``lurcher doctor``: what this machine runs models with, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lurcher.cli.sections import print_section

app = typer.Typer()


@app.command()
def doctor(
    bundle: Annotated[
        Path | None, typer.Argument(help="Its query encoder; the shipped one if left out.")
    ] = None,
) -> None:
    """Say which engine runs the query encoder and late interaction here, on how many cores, and why."""
    import onnxruntime

    from lurcher.bundle.bundle import ENCODER, NO_VECTORS
    from lurcher.bundle.manifest import read_manifest
    from lurcher.models.encoders.config import load_config
    from lurcher.models.engines.choice import choose
    from lurcher.models.engines.native.library import load
    from lurcher.models.pretrained import DEFAULT_ENCODER
    from lurcher.threads import available_cpus

    found = load()
    if bundle is not None and read_manifest(bundle).encoder is None:
        engine, reason = "none", NO_VECTORS
    else:
        folder = DEFAULT_ENCODER if bundle is None else bundle / ENCODER
        choice = choose(folder / load_config(folder).query_graph, 1)
        engine, reason = choice.name, choice.reason
    print_section(
        "",
        {
            "onnxruntime": onnxruntime.__version__,
            "native library": found if isinstance(found, str) else f"kernels for {found.level}",
            "late interaction": "NumPy" if isinstance(found, str) else "native",
            "engine 'auto'": engine,
            "why": reason,
            "threads": f"{available_cpus()} (cores that this process may use, cut to its CPU quota)",
            "workers": _workers(available_cpus()),
        },
    )


def _workers(cores: int) -> str:
    """How many processes serve a port here, and when it should be another number."""
    default = (
        "1: one process uses all threads for one request after another, which is quickest for each"
    )
    if cores == 1:
        return f"{default}; a second would have no core"
    return f"{default}; --workers {cores} carries more a second, and takes the models' memory each time"
