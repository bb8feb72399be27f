"""``python -m experiments.deepsparse_engine FOLDER``: DeepSparse beside ONNX Runtime.

FOLDER is what ``deepsparse_graphs`` wrote. For each shape all graphs run in turn on both engines,
and DeepSparse's own analysis says which kernels it ran the linear layers with, and for how long.
Needs the environment of ``make test-deepsparse``; no torch.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import onnx
import typer
from rich.console import Console
from rich.table import Table

from lurcher.models.engines.deepsparse import load_library
from lurcher.models.engines.ort import OnnxRuntimeEngine
from lurcher.models.pretrained import DEFAULT_ENCODER

# Texts, tokens a text, cores.
SHAPES = (
    (1, 8, 1),
    (1, 16, 1),
    (1, 16, 2),
    (1, 32, 1),
    (1, 48, 1),
    (1, 64, 1),
    (1, 128, 1),
    (32, 16, 1),
)
_SHIPPED = "onnxruntime, the encoder that ships"
_BASE = "onnxruntime fp32-dense"
# Zeros change nothing there: one graph of DeepSparse's form shows it.
_ON_ONNXRUNTIME = ("fp32-dense", "int8-onnxruntime", "int8-90")
_SECONDS = 12.0  # of timing a shape
_ROUND = 8  # timed runs at a time, after one to warm the caches that another graph has cooled
_RUNS = 20  # of the analysis
_OUTPUTS = ["vector"]
_FUSED = "pyramid"

Run = Callable[[], object]


def main(folder: Annotated[Path, typer.Argument(help="fp32-*.onnx and int8-*.onnx")]) -> None:
    """Print a table for each shape: times, ratios, and what DeepSparse's analysis saw."""
    library = load_library()
    graphs = [g for g in sorted(folder.glob("*.onnx")) if g.stem != "int8-onnxruntime"]
    console = Console(width=120)
    for texts, tokens, cores in SHAPES:
        ids = np.random.default_rng(0).integers(1000, 20000, (texts, tokens))
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        runs = {_SHIPPED: _onnxruntime(DEFAULT_ENCODER / "encoder.onnx", inputs, cores)}
        for name in _ON_ONNXRUNTIME:
            runs[f"onnxruntime {name}"] = _onnxruntime(folder / f"{name}.onnx", inputs, cores)
        seen = {}
        for graph in graphs:
            name = f"deepsparse {graph.stem}"
            runs[name] = _deepsparse(library, graph, inputs, cores)
            if cores == 1:
                seen[name] = _analyse(library, graph, inputs)
        medians = _time(runs)
        table = Table("", "ms", "times as fast", "linear, ms", "rate", "kernels (layers, zeros)")
        for name in sorted(runs, key=medians.__getitem__, reverse=True):
            ratio = medians[_BASE] / medians[name]
            table.add_row(
                name, f"{medians[name]:.2f}", f"{ratio:.2f}", *seen.get(name, ("", "", ""))
            )
        console.print(f"{texts} x {tokens} tokens, {cores} core(s)", table)


def _time(runs: dict[str, Run]) -> dict[str, float]:
    """The median of each in milliseconds; all in turn, forwards and backwards."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    turn, end = 0, time.perf_counter() + _SECONDS
    while time.perf_counter() < end or turn < 2:
        turn += 1
        for name in list(runs)[:: 1 if turn % 2 else -1]:
            runs[name]()
            for _ in range(_ROUND):
                start = time.perf_counter()
                runs[name]()
                taken[name].append(time.perf_counter() - start)
    return {name: 1000 * float(np.median(times)) for name, times in taken.items()}


def _onnxruntime(graph: Path, inputs: dict[str, npt.NDArray[np.int64]], cores: int) -> Run:
    engine = OnnxRuntimeEngine(graph, cores)
    return lambda: engine.run(_OUTPUTS, inputs)


def _deepsparse(
    library: Any, graph: Path, inputs: dict[str, npt.NDArray[np.int64]], cores: int
) -> Run:
    """A run of ``graph`` compiled for just this shape, without the engine's padding."""
    arrays = list(inputs.values())
    shape = list(arrays[0].shape)
    with tempfile.TemporaryDirectory() as work:
        copy = shutil.copy(graph, work)
        engine = library.Engine(copy, shape[0], cores, input_shapes=[shape])
    return lambda: engine.run(arrays, val_inp=False)


def _analyse(
    library: Any, graph: Path, inputs: dict[str, npt.NDArray[np.int64]]
) -> tuple[str, str, str]:
    """What DeepSparse's own analysis says of linear layers: milliseconds, rate and kernels.

    The rate is of multiplications, those by zero counted, against the core's best in float32: dense
    INT8 can reach 4, what is beyond was left out. In a pyramid, a chain of operators that it fused,
    it names no kernel and counts no zeros.
    """
    arrays = list(inputs.values())
    shape = list(arrays[0].shape)
    with tempfile.TemporaryDirectory() as work:
        copy = shutil.copy(graph, work)
        analysis = library.model_debug_analysis(
            copy, arrays, shape[0], 1, num_iterations=_RUNS, input_shapes=[shape]
        )
    model = onnx.load(str(graph))
    constants = {i.name for i in model.graph.initializer}
    products = {
        node.output[0]
        for node in model.graph.node
        if node.op_type in ("MatMul", "MatMulInteger") and node.input[1] in constants
    }
    kernels: Counter[str] = Counter()
    zeros: dict[str, list[float]] = {}
    spent = rate = 0.0
    for layer in analysis["layer_info"]:
        if held := len(products & set(layer["canonical_name"].split(","))):
            kernel = re.sub(r"(-[\d.]+%)?_\d+$", "", layer["name"])
            kernels[kernel] += held
            zeros.setdefault(kernel, []).append(layer["kernel_sparsity"])
            spent += layer["average_run_time_in_ms"]
            rate += layer["average_run_time_in_ms"] * layer["average_utilization"]
    shares = {k: "" if k == _FUSED else f", {np.mean(z):.0%}" for k, z in zeros.items()}
    ran = ", ".join(f"{kernel} ({kernels[kernel]}{shares[kernel]})" for kernel in kernels)
    return f"{spent:.2f}", f"{rate / spent:.1f}", ran


if __name__ == "__main__":
    typer.run(main)
