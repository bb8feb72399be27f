"""The engine is chosen by what it gives, by what is known of the machine, and hardly by the clock."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from lurcher.errors import ModelError
from lurcher.models.engines import choose_engine, open_engine
from lurcher.models.engines.choice import choose, choose_for, chosen, faster
from lurcher.models.engines.native import library
from lurcher.models.engines.native.engine import NativeEngine
from lurcher.models.engines.ort import OnnxRuntimeEngine
from tests.tiny import TINY

GRAPH = TINY / "encoder.onnx"
NATIVE = library.loaded()
built = pytest.mark.skipif(NATIVE is None, reason="no native library was built")
IDS = np.full((3, 40), 5)
BATCHES = [{"input_ids": IDS, "attention_mask": np.ones_like(IDS)}] * 3


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


@pytest.mark.parametrize(
    ("level", "zeros", "expected"),
    [
        ("amx", 0.0, True), ("avx512", 0.0, True), ("avxvnni", 0.1, False), ("avxvnni", 0.8, True),
        ("avx2", 0.5, False), ("avx2", 0.9, True), ("plain", 0.9, False),
    ],
)  # fmt: skip
def test_instructions_and_zeros_say_what_is_faster(
    level: library.Level, zeros: float, expected: bool
) -> None:
    assert faster(level, zeros) is expected


@built
@pytest.mark.parametrize(
    ("native", "name"), [(1.0, "native"), (3.6, "native"), (9.0, "onnxruntime")]
)
def test_times_turn_down_what_is_clearly_slower_and_nothing_else(native: float, name: str) -> None:
    assert NATIVE is not None
    if not faster(NATIVE.level, 0.0):
        pytest.skip(f"{NATIVE.level} is not known to be faster")
    clock = ticks(native, 3.0)
    choice = choose(GRAPH, 1, clock=lambda: next(clock))
    assert choice.name == name
    assert isinstance(choice.engine, NativeEngine) == (name == "native")
    assert f"{3 / native:.1f} times as fast" in choice.reason


@built
@pytest.mark.parametrize(
    ("native", "name"), [(1.0, "native"), (2.8, "onnxruntime"), (4.0, "onnxruntime")]
)
def test_for_given_texts_the_faster_engine_is_chosen_by_trial(native: float, name: str) -> None:
    reference, clock = OnnxRuntimeEngine(GRAPH, 1), ticks(native, 3.0)
    choice = choose_for(GRAPH, reference, BATCHES, clock=lambda: next(clock))
    assert choice.name == name
    assert (choice.engine is reference) == (name == "onnxruntime")
    assert f"{3 / native:.1f} times as fast" in choice.reason


def test_for_given_texts_without_a_library_onnx_runtime_stays() -> None:
    reference = OnnxRuntimeEngine(GRAPH, 1)
    choice = choose_for(GRAPH, reference, BATCHES, library="it was not built")
    assert (choice.engine, choice.name) == (reference, "onnxruntime")


@built
def test_a_graph_that_is_not_known_goes_to_onnx_runtime() -> None:
    choice = choose(TINY / "ranker" / "pair.onnx", 1)
    assert choice.name == "onnxruntime"
    assert "does not know such a graph" in choice.reason


def test_one_file_is_tried_once_and_its_engine_shared(tmp_path: Path) -> None:
    graph = tmp_path / "encoder.onnx"
    for file in (graph, tmp_path / "vocabulary.bin"):
        file.write_bytes((TINY / file.name).read_bytes())
    first, again = chosen(graph, 1), chosen(graph, 1)
    assert again.engine is first.engine
    assert again.reason == first.reason  # with the same times in it
    graph.write_bytes(GRAPH.read_bytes())
    os.utime(graph, ns=(1, 1))
    assert chosen(graph, 1).engine is not first.engine


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        chosen(tmp_path / "encoder.onnx", 1)


@built
def test_engines_by_name() -> None:
    assert isinstance(open_engine("native", GRAPH, 1), NativeEngine)
    assert isinstance(open_engine("auto", GRAPH, 1), (NativeEngine, OnnxRuntimeEngine))
    choice = choose_engine("onnxruntime", GRAPH, 1)
    assert (choice.name, choice.reason) == ("onnxruntime", "it was asked for")
    assert isinstance(choice.engine, OnnxRuntimeEngine)
