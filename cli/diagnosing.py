"""``lurcher doctor``: what this machine runs models with, and whether it and a bundle are fit to serve."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from lurcher.cli.console import errors
from lurcher.cli.sections import print_section
from lurcher.threads import one_blas_thread

app = typer.Typer()

# Searches of the trial, after one that does not count.
_SEARCHES = 20
_WORDS = 8  # of a passage that make a query of the trial


@app.command()
def doctor(
    bundle: Annotated[
        Path | None, typer.Argument(help="Its query encoder; the shipped one if left out.")
    ] = None,
) -> None:
    """Say which engine runs models here, on how many cores, and why; whether the disk and a bundle are sound.

    With a bundle, check all of its files and time some searches. Ends with status 1 if it is not sound.
    """
    one_blas_thread()
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
            "threads": _threads(),
            "workers": _workers(available_cpus()),
        },
    )
    print_section("disk", _disk(Path() if bundle is None else bundle.absolute().parent))
    if bundle is not None and not _bundle_is_sound(bundle):
        raise typer.Exit(1)


def _threads() -> str:
    """How many cores a server uses here by default, and what decides it."""
    from lurcher.threads import affinity, available_cpus, cpu_quota

    quota = cpu_quota()
    limit = "no CPU quota" if quota is None else f"a CPU quota of {quota:g}, rounded up"
    return f"{available_cpus()}: {affinity()} cores that this process may use, and {limit}"


def _workers(cores: int) -> str:
    """How many processes serve a port here, and when it should be another number."""
    default = (
        "1: one process uses all threads for one request after another, which is quickest for each"
    )
    if cores == 1:
        return f"{default}; a second would have no core"
    return f"{default}; --workers {cores} carries more a second, and takes the models' memory each time"


def _disk(folder: Path) -> dict[str, str]:
    """Return how much room there is in ``folder``, and whether what is written there is kept."""
    from shutil import disk_usage
    from tempfile import TemporaryFile
    from time import perf_counter

    usage = disk_usage(folder)
    free = f"{usage.free / 1e9:,.1f} GB of {usage.total / 1e9:,.1f} GB"
    told = {"folder": str(folder.absolute()), "free": free}
    try:
        with TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 4096)
            file.flush()
            start = perf_counter()
            os.fsync(file.fileno())
            told["fsync"] = f"works, in {(perf_counter() - start) * 1_000:.1f} ms"
    except OSError as error:
        told["fsync"] = (
            f"not here: {error.strerror}. Searching needs no writes; feedback, --writable and builds do"
        )
    return told


def _bundle_is_sound(bundle: Path) -> bool:
    """Print what is wrong with ``bundle``, or how long searches in it take; return whether it is sound."""
    from lurcher.bundle.manifest import read_manifest
    from lurcher.bundle.verifying import verify

    problems = verify(bundle)
    for problem in problems:
        errors.print(problem, soft_wrap=True)
    if problems:
        return False
    manifest = read_manifest(bundle)
    size = sum(file.bytes for file in manifest.files.values())
    files = f"{len(manifest.files)} files, {size / 1e6:,.1f} MB, each as in the manifest"
    print_section(
        "bundle",
        {"sound": files, "passages": f"{manifest.passages:,}", "searches": _trial(bundle)},
    )
    return True


def _trial(bundle: Path) -> str:
    """How long searches in ``bundle`` take by themselves, one at a time and without HTTP."""
    from time import perf_counter

    import lurcher
    from lurcher.bundle.bundle import Bundle
    from lurcher.bundle.listing import rows_after

    opened = Bundle.open(bundle, check_hashes=False)
    try:
        passages = opened.passages.get(rows_after(opened, "", _SEARCHES, None))
    finally:
        opened.close()
    queries = [" ".join(one.text.split()[:_WORDS]) or one.title for one in passages]
    if not queries:
        return "none, as it is empty"
    with lurcher.open(bundle, check_hashes=False) as collection:
        collection.search(queries[0])
        spent = []
        for query in queries:
            start = perf_counter()
            collection.search(query)
            spent.append((perf_counter() - start) * 1_000)
    spent.sort()
    median = spent[len(spent) // 2]
    return f"{median:.1f} ms, the slowest {spent[-1]:.1f} ms, of {len(spent)} by the first words of passages"
