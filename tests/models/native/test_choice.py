"""The engine is chosen by what it gives and how fast."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from lurcher.models.engines import open_engine
from lurcher.models.engines.choice import choose
from lurcher.models.engines.native import library
from lurcher.models.engines.native.engine import NativeEngine
from lurcher.models.engines.ort import OnnxRuntimeEngine
from tests.tiny import TINY

GRAPH = TINY / "encoder.onnx"


def ticks(native: float, reference: float) -> Iterator[float]:
    """The times of a clock asked before and after each run, the native engine's first."""
    now = 0.0
    for run in count():
        yield now
        now += (native, reference)[run % 2]
        yield now


def test_without_a_library_onnx_runtime_is_chosen() -> None:
    choice = choose(GRAPH, 1, library="it was not built")
    assert isinstance(choice.engine, OnnxRuntimeEngine)
    assert choice.reason == "there is no native library: it was not built"


@pytest.mark.skipif(library.loaded() is None, reason="no native library was built")
@pytest.mark.parametrize(("native", "name"), [(1.0, "native"), (9.0, "onnxruntime")])
def test_the_faster_engine_is_chosen(native: float, name: str) -> None:
    clock = ticks(native, 3.0)
    choice = choose(GRAPH, 1, clock=lambda: next(clock))
    assert choice.name == name
    assert isinstance(choice.engine, NativeEngine) == (name == "native")
    assert f"{3 / native:.1f} times as fast" in choice.reason


@pytest.mark.skipif(library.loaded() is None, reason="no native library was built")
def test_a_graph_that_is_not_known_goes_to_onnx_runtime() -> None:
    choice = choose(TINY / "ranker" / "pair.onnx", 1)
    assert choice.name == "onnxruntime"
    assert "does not know such a graph" in choice.reason


@pytest.mark.skipif(library.loaded() is None, reason="no native library was built")
def test_engines_by_name() -> None:
    assert isinstance(open_engine("native", GRAPH, 1), NativeEngine)
    assert isinstance(open_engine("auto", GRAPH, 1), (NativeEngine, OnnxRuntimeEngine))
