"""Which engine runs a text encoder's graph: the native one where it is faster and gives the same vectors.

The choice hangs on what stays the same on a machine: its instruction set and the graph's zeros. Times only
turn down a native engine that is clearly slower than it should be, so that a restart chooses what was chosen
before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from time import thread_time
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from lurcher.errors import ModelError
from lurcher.models.engines import Choice, Engine
from lurcher.models.engines.native.engine import NativeEngine
from lurcher.models.engines.native.library import Level, Library, load
from lurcher.models.engines.ort import OnnxRuntimeEngine

# The share of blocks of zeros from which on the kernels of a level are faster than ONNX Runtime at the length
# of a query (docs/engines.md); a level that is not here is slower whatever the zeros.
_FASTER: dict[Level, float] = {"amx": 0.0, "avx512": 0.0, "avxvnni": 0.4, "avx2": 0.7}
# Where they should be faster: twice as slow as the least that was ever measured there.
_CLEARLY_SLOWER = 0.67
# Where a trial alone decides: a smaller gain is not worth another machine's different vectors.
_WORTH_IT = 1.2
# Two engines round the same activations in places of their own, and each layer adds to that: with six layers
# their vectors have cosines of .994 and more, of which each has as much to the vector without rounding. A
# graph that is understood wrongly has less than .9.
_LEAST_COSINE = 0.98
_PROBES = (1, 7, 16, 33)  # tokens
_TIMED = 16  # tokens, of an ordinary query
_RUNS = 7

# What an engine is given: token numbers and their mask, (B, L) each.
Batch = Mapping[str, npt.NDArray[np.int64]]
Clock = Callable[[], float]


def choose(
    graph: Path, threads: int, library: Library | str | None = None, clock: Clock = thread_time
) -> Choice:
    """The engine that runs ``graph`` for queries.

    ``library`` is the native one, or why there is none; None loads it. ``clock`` counts the time of this
    thread, which other work on the machine hardly changes. Raises ModelError where ONNX Runtime cannot run
    the graph.
    """
    reference = OnnxRuntimeEngine(graph, threads)
    native = _native(graph, library)
    if isinstance(native, str):
        return Choice("onnxruntime", reference, native)
    if not faster(native.level, native.zeros):
        reason = f"with {native.level} the native engine is slower, with {native.zeros:.0%} zeros"
        return Choice("onnxruntime", reference, reason)
    one = _inputs(np.zeros((1, min(_TIMED, native.max_tokens)), np.int64))
    return _tried(native, reference, [one] * _RUNS, _CLEARLY_SLOWER, clock)


def choose_for(
    graph: Path, reference: Engine, batches: Sequence[Batch], library: Library | str | None = None,
    clock: Clock = thread_time,
) -> Choice:  # fmt: skip
    """The engine that is faster for texts like those of ``batches``.

    ``reference`` is ONNX Runtime's engine of ``graph``; it stays unless the native one is a fifth faster.
    """
    native = _native(graph, library)
    if isinstance(native, str):
        return Choice("onnxruntime", reference, native)
    return _tried(native, reference, batches, _WORTH_IT, clock)


def faster(level: Level, zeros: float) -> bool:
    """Whether kernels of ``level`` are known to be faster at the length of a query.

    ``zeros`` is the share of blocks of zeros in the graph.
    """
    return zeros >= _FASTER.get(level, np.inf)


_lock = Lock()
_verdicts: dict[tuple[object, ...], tuple[str, str]] = {}
_alive: WeakValueDictionary[tuple[object, ...], Engine] = WeakValueDictionary()


def chosen(graph: Path, threads: int) -> Choice:
    """What ``choose`` finds, once in this process for one file; an engine that is still in use is shared."""
    try:
        found = graph.stat()
    except OSError as error:
        raise ModelError(f"{graph}: {error.strerror}") from error
    key = (graph.resolve(), found.st_ino, found.st_size, found.st_mtime_ns, threads)
    with _lock:
        engine = _alive.get(key)
        if key not in _verdicts:
            choice = choose(graph, threads)
            _verdicts[key] = (choice.name, choice.reason)
            engine = choice.engine
        name, reason = _verdicts[key]
        if engine is None:
            engine = NativeEngine(graph) if name == "native" else OnnxRuntimeEngine(graph, threads)
        _alive[key] = engine
    return Choice(name, engine, reason)


def _native(graph: Path, library: Library | str | None) -> NativeEngine | str:
    """The native engine of ``graph``, or why there is none."""
    found = load() if library is None else library
    if isinstance(found, str):
        return f"there is no native library: {found}"
    try:
        return NativeEngine(graph, found)
    except ModelError as error:
        return str(error)


def _difference(native: NativeEngine, reference: Engine) -> str:
    """Why the native engine's vectors are not those of ``reference``; "" if they are."""
    try:
        cosine = least_cosine(native, reference)
    except ModelError as error:
        return str(error)
    if cosine >= _LEAST_COSINE:
        return ""
    return f"the native engine's vectors differ: cosine {cosine:.3f}"


def _tried(
    native: NativeEngine, reference: Engine, batches: Sequence[Batch], least: float, clock: Clock
) -> Choice:
    """The native engine, if it gives the vectors of ``reference`` and is ``least`` times as fast at least."""
    if different := _difference(native, reference):
        return Choice("onnxruntime", reference, different)
    ratio = speed_ratio(native, reference, batches, clock)
    said = f"the native engine ({native.level}) is {ratio:.1f} times as fast as ONNX Runtime"
    if ratio >= least:
        return Choice("native", native, said)
    return Choice("onnxruntime", reference, said)


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


def speed_ratio(
    native: NativeEngine, reference: Engine, batches: Sequence[Batch], clock: Clock
) -> float:
    """How many times as fast as ``reference`` the native engine is, the median of ``batches``, in turns."""
    ratios = []
    for inputs in batches:
        seconds = []
        for engine in (native, reference):
            begun = clock()
            engine.run(["vector"], inputs)
            seconds.append(clock() - begun)
        ratios.append(seconds[1] / max(seconds[0], 1e-9))
    return float(np.median(ratios))


def _inputs(ids: npt.NDArray[np.int64]) -> Batch:
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}
