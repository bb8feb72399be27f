"""``lurcher bench engines``: the native library beside ONNX Runtime and NumPy, on one thread.

All ways to do the same thing run in turn, so that a machine that slows down slows all of them. Times are
the process's CPU time, as other work on the machine would be in the clock's. OpenVINO is timed, too, if it
is installed.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from lurcher.benchmarks import openvino_encoders
from lurcher.benchmarks.openvino_encoders import Encode
from lurcher.errors import ModelError
from lurcher.models.encoders.merge import merge
from lurcher.models.engines import Engine
from lurcher.models.engines.native import late
from lurcher.models.engines.native.description import Description, Matrix
from lurcher.models.engines.native.encoder import PackedEncoder
from lurcher.models.engines.native.library import Library, load
from lurcher.models.engines.native.recognition import describe
from lurcher.models.engines.ort import OnnxRuntimeEngine
from lurcher.models.pretrained import DEFAULT_ENCODER, PROFILES
from lurcher.models.ranker import maxsim_reference
from lurcher.models.ranker.maxsim import NOTHING, best_met

_BITS = 160
_CODES = 65  # of a passage: 180 tokens, of which 36 % are kept
_CANDIDATES = (100, 1000)
_QUERY_TOKENS = (8, 16, 32)
_QUERY = 16  # tokens, of an ordinary one
_VOCABULARY = 20_000
_MANY = 64  # tokens, above which each is timed less often
_FEWEST = 5

Ways = Mapping[str, Callable[[], object]]


def main(
    graph: Annotated[
        Path, typer.Option(help="An INT8 encoder as `lurcher export` writes it.")
    ] = DEFAULT_ENCODER / "encoder.onnx",
    fp32: Annotated[
        Path | None, typer.Option(help="The same encoder from `lurcher export --no-int8`.")
    ] = None,
    openvino: Annotated[
        Path | None,
        typer.Option(
            help="The same encoder as OpenVINO has it in INT8 (`nncf.quantize`); GRAPH if none is given."
        ),
    ] = None,
    lengths: Annotated[str, typer.Option(help="Lengths of texts in tokens.")] = "4,8,16,32,64,256",
    batches: Annotated[str, typer.Option(help="Numbers of texts encoded together.")] = "1,8,32",
    sparsity: Annotated[
        str, typer.Option(help="Shares of blocks of four set to zero at random.")
    ] = ".8,.9",
    runs: Annotated[
        int, typer.Option(min=1, help="How often each is timed; less often from 64 tokens on.")
    ] = 100,
) -> None:
    """Print what late interaction and encoders take, in microseconds, and how many times as fast they are."""
    library = load()
    if isinstance(library, str):
        raise ModelError(f"nothing to compare: {library}")
    console = Console()
    console.print(f"{processor()}; kernels for {library.level}")
    console.print(_table("late interaction, best of NumPy = 1", "NumPy", _late(library, runs)))
    console.print(_table(f"what ships, {_QUERY} tokens, best = 1", "best", _shipped(library, runs)))
    ways = _encoders(library, graph, fp32, list(map(float, sparsity.split(","))))
    ways |= openvino_encoders.encoders(fp32, openvino or graph)
    words = min(_VOCABULARY, len(describe(graph).words))
    draw = np.random.default_rng(0)
    for batch in map(int, batches.split(",")):
        rows = {}
        for length in map(int, lengths.split(",")):
            ids = draw.integers(0, words, (batch, length))
            timed = {name: partial(encode, ids) for name, encode in ways.items()}
            rows[f"{length} tokens, {batch} texts"] = median_times(
                timed, max(_FEWEST, min(runs, runs * _MANY // ids.size))
            )
        console.print(_table("encoders, ONNX Runtime INT8 = 1", "ONNX Runtime INT8", rows))


def processor() -> str:
    """The name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def median_times(ways: Ways, runs: int) -> dict[str, float]:
    """The median CPU time of each way in microseconds, timed in turns after a run that fills the caches."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, run in ways.items():
            run()
            begun = process_time()
            run()
            seconds[name].append(process_time() - begun)
    return {name: float(np.median(times)) * 1e6 for name, times in seconds.items()}


def _late(library: Library, runs: int) -> dict[str, dict[str, float]]:
    draw = np.random.default_rng(0)
    rows = {}
    for candidates in _CANDIDATES:
        counts = np.full(candidates, _CODES, np.int64)
        codes = draw.integers(0, 256, (candidates * _CODES, _BITS // 8), np.uint8)
        for length in _QUERY_TOKENS:
            queries = draw.standard_normal((length, _BITS)).astype(np.float32)
            queries /= np.linalg.norm(queries, axis=1, keepdims=True)
            ways: dict[str, Callable[[], object]] = {
                "NumPy": lambda q=queries, c=codes, n=counts: best_met(  # type: ignore[misc] # defaults bind
                    maxsim_reference.similarities(q, c), n
                )
            }
            for level in library.levels:
                ways[level] = partial(
                    late.best_cosines, library, queries, codes, counts, NOTHING, level
                )
            rows[f"{candidates} candidates, {length} query tokens"] = median_times(ways, runs)
    return rows


def _shipped(library: Library, runs: int) -> dict[str, dict[str, float]]:
    """What a query takes by each profile, for each instruction set."""
    levels = library.levels[1:]
    ids = np.random.default_rng(0).integers(0, _VOCABULARY, (1, _QUERY))
    ways: dict[str, Callable[[], object]] = {}
    with TemporaryDirectory() as scratch:
        for profile, student in PROFILES.items():
            graph = DEFAULT_ENCODER / "encoder.onnx"
            if student is not None:
                merge(DEFAULT_ENCODER, student, Path(scratch) / profile)
                graph = Path(scratch) / profile / "query.onnx"
            described = describe(graph)
            for level in levels:
                encode = _native(PackedEncoder(library, described, level))
                ways[f"{level} {profile}"] = partial(encode, ids)
        times = median_times(ways, runs)
    return {level: {one: times[f"{level} {one}"] for one in PROFILES} for level in levels}


def _native(packed: PackedEncoder) -> Encode:
    return lambda ids: packed.encode(
        ids.ravel(), np.full(len(ids), ids.shape[1]), ids.shape[1], ("vector",)
    )


def _encoders(
    library: Library, graph: Path, fp32: Path | None, sparsity: list[float]
) -> dict[str, Encode]:
    """What encodes tokens (B, L) to vectors, by name."""
    described = describe(graph)

    def runtime(engine: Engine) -> Encode:
        return lambda ids: engine.run(
            ["vector"], {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        )

    ways = {"ONNX Runtime INT8": runtime(OnnxRuntimeEngine(graph, 1))}
    if fp32 is not None:
        ways["ONNX Runtime fp32"] = runtime(OnnxRuntimeEngine(fp32, 1))
    for level in library.levels[1:]:
        ways[f"dense {level}"] = _native(PackedEncoder(library, described, level, "dense"))
    for share in sparsity:
        ways[f"{share:.0%} zeros"] = _native(PackedEncoder(library, thinned(described, share)))
    return ways


def thinned(described: Description, share: float) -> Description:
    """The encoder with that ``share`` of each matrix's blocks of four inputs set to zero, at random."""
    draw = np.random.default_rng(0)

    def thin(matrix: Matrix) -> Matrix:
        inputs, outputs = matrix.weights.shape
        kept = np.repeat(draw.random((inputs // 4, outputs)) >= share, 4, axis=0)
        return replace(matrix, weights=matrix.weights * kept.astype(np.int8))

    layers = [
        replace(one, qkv=thin(one.qkv), out=thin(one.out), up=thin(one.up), down=thin(one.down))
        for one in described.layers
    ]
    return replace(described, layers=layers)


def _table(title: str, first: str, rows: Mapping[str, Mapping[str, float]]) -> Table:
    table = Table(title=f"{title}; medians, µs")
    table.add_column("")
    for name in next(iter(rows.values())):
        table.add_column(name, justify="right")
    for row, times in rows.items():
        table.add_row(row, *(f"{one:.0f} ({times[first] / one:.2f})" for one in times.values()))
    return table
