"""Which engine runs a text encoder's graph: the native one if it gives the same vectors, faster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import numpy.typing as npt

from lurcher.errors import ModelError
from lurcher.models.engines import Engine
from lurcher.models.engines.native.engine import NativeEngine
from lurcher.models.engines.native.library import Library, load
from lurcher.models.engines.ort import OnnxRuntimeEngine

# Two engines round the same activations in places of their own, and each layer adds to that: with six layers
# their vectors have cosines of .994 and more, of which each has as much to the vector without rounding. A
# graph that is understood wrongly has less than .9.
_LEAST_COSINE = 0.98
_PROBES = (1, 7, 16, 33)  # tokens
_TIMED = 16  # tokens, of an ordinary query
_RUNS = 15


@dataclass(frozen=True)
class Choice:
    """The engine chosen, its name, and why."""

    name: str
    engine: Engine
    reason: str


def choose(
    graph: Path,
    threads: int,
    library: Library | str | None = None,
    clock: Callable[[], float] = perf_counter,
) -> Choice:
    """The engine for ``graph``. ``library`` is the native one, or why there is none; None loads it.

    Raises ModelError where ONNX Runtime cannot run the graph.
    """
    reference = OnnxRuntimeEngine(graph, threads)
    found = load() if library is None else library
    if isinstance(found, str):
        return Choice("onnxruntime", reference, f"there is no native library: {found}")
    try:
        native = NativeEngine(graph, found)
        cosine = least_cosine(native, reference)
    except ModelError as error:
        return Choice("onnxruntime", reference, str(error))
    if not cosine >= _LEAST_COSINE:
        return Choice(
            "onnxruntime", reference, f"the native engine's vectors differ: cosine {cosine:.3f}"
        )
    ratio = speed_ratio(native, reference, clock)
    said = f"the native engine ({native.level}) is {ratio:.1f} times as fast as ONNX Runtime"
    return Choice("native", native, said) if ratio > 1 else Choice("onnxruntime", reference, said)


def least_cosine(native: NativeEngine, reference: Engine) -> float:
    """The lowest cosine between the two engines' vectors of a few texts of random tokens."""
    draw = np.random.default_rng(0)
    cosines = []
    for length in _PROBES:
        if length <= native.max_tokens:
            inputs = _inputs(draw.integers(0, native.words, (1, length)))
            one, other = (engine.run(["vector"], inputs)[0][0] for engine in (native, reference))
            cosines.append(
                one @ other / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-12)
            )
    return float(np.min(cosines))


def speed_ratio(native: NativeEngine, reference: Engine, clock: Callable[[], float]) -> float:
    """How many times as fast as ``reference`` the native engine is, timed in turns."""
    length = min(_TIMED, native.max_tokens)
    inputs = _inputs(np.zeros((1, length), np.int64))
    seconds: list[list[float]] = [[], []]
    for _ in range(_RUNS):
        for engine, times in zip((native, reference), seconds, strict=True):
            begun = clock()
            engine.run(["vector"], inputs)
            times.append(clock() - begun)
    return float(np.median(seconds[1]) / max(float(np.median(seconds[0])), 1e-9))


def _inputs(ids: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.int64]]:
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}
