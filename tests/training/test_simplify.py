"""Fewer nodes, the same outputs, and what no rule fits left alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("onnx", reason="the [train] extra is not installed")

import onnx
from onnx import helper, numpy_helper

from lurcher.training.compression.simplify import simplify
from lurcher.training.compression.tensors import Inputs, evaluate
from lurcher.training.graph import build_graph
from lurcher.training.original import read_recipe

FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64


def batch(texts: int, tokens: int, seed: int = 1) -> Inputs:
    random = np.random.default_rng(seed)
    mask = (np.arange(tokens) < random.integers(1, tokens + 1, (texts, 1))).astype(np.int64)
    mask[0] = 1
    return {"input_ids": random.integers(1, 300, (texts, tokens)) * mask, "attention_mask": mask}


def run(graph: onnx.ModelProto, inputs: Inputs) -> list[npt.NDArray[Any]]:
    (found,) = evaluate(graph, [output.name for output in graph.graph.output], [inputs])
    return found


def encoder(nodes: list[onnx.NodeProto], *constants: onnx.TensorProto) -> onnx.ModelProto:
    """A graph of an encoder's inputs with the one output "y"."""
    inputs = [
        helper.make_tensor_value_info(name, INT64, ["batch", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    graph = helper.make_graph(nodes, "test", inputs, [onnx.ValueInfoProto(name="y")], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "mpnet"])
def test_a_traced_encoder_computes_the_same_with_fewer_nodes(
    architecture: str, checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    folder = checkpoint(architecture)
    graph = build_graph(folder, read_recipe(folder, None, None), tmp_path)
    before = graph.SerializeToString()
    found = simplify(graph)
    assert graph.SerializeToString() == before
    traced = Counter(node.op_type for node in graph.graph.node)
    left = Counter(node.op_type for node in found.graph.node)
    assert left.total() < 0.7 * (traced.total() - traced["Constant"])
    assert not left["Expand"]
    assert not left["ReduceSum"]
    for size in ((1, 1), (1, 9), (4, 1), (4, 12), (12, 4)):
        for new, old in zip(run(found, batch(*size)), run(graph, batch(*size)), strict=True):
            np.testing.assert_allclose(new, old, rtol=1e-5, atol=1e-5)


def test_a_graph_without_layers_has_one_shape_left(
    checkpoint: Callable[..., Path], transformers: Any, tmp_path: Path
) -> None:
    folder = checkpoint("bert")
    network = transformers.AutoModel.from_pretrained(folder, num_hidden_layers=0)
    network.save_pretrained(folder)
    graph = build_graph(folder, read_recipe(folder, None, None), tmp_path)
    found = simplify(graph)
    assert Counter(node.op_type for node in found.graph.node)["Shape"] == 1
    assert Counter(node.op_type for node in found.graph.node)["Gather"] == 1  # by token id
    np.testing.assert_allclose(run(found, batch(3, 8))[0], run(graph, batch(3, 8))[0], atol=1e-6)


def test_a_mean_that_is_not_brought_to_norm_1_stays_a_mean(
    checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    folder = checkpoint("bert")
    recipe = replace(read_recipe(folder, None, None), normalise=False)
    graph = build_graph(folder, recipe, tmp_path)
    found = simplify(graph)
    assert "Div" in {node.op_type for node in found.graph.node if "vector" in node.output}
    np.testing.assert_allclose(run(found, batch(4, 9))[0], run(graph, batch(4, 9))[0], rtol=1e-4)


def test_a_sum_over_another_axis_stays() -> None:
    nodes = [
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=FLOAT),
        helper.make_node("Unsqueeze", ["mask", "two"], ["column"]),
        helper.make_node("Mul", ["column", "column"], ["squares"]),
        helper.make_node("ReduceSum", ["squares", "zero"], ["y"], keepdims=0),
    ]
    axes = [numpy_helper.from_array(np.array([a]), n) for n, a in (("two", 2), ("zero", 0))]
    inputs = batch(3, 4)
    (found,) = run(simplify(encoder(nodes, *axes)), inputs)
    np.testing.assert_array_equal(found[:, 0], inputs["attention_mask"].sum(axis=0))


def test_an_expand_that_the_output_needs_stays() -> None:
    nodes = [
        helper.make_node("Shape", ["input_ids"], ["size"]),
        helper.make_node("Expand", ["row", "size"], ["rows"]),
        helper.make_node("ReduceSum", ["rows"], ["y"], keepdims=0),
    ]
    graph = encoder(nodes, numpy_helper.from_array(np.ones((1, 1), np.float32), "row"))
    assert run(simplify(graph), batch(3, 4)) == [12]


def test_a_target_that_copies_no_size_stays() -> None:
    nodes = [
        helper.make_node("Shape", ["input_ids"], ["length"], start=1),
        helper.make_node("Shape", ["input_ids"], ["texts"], end=1),
        helper.make_node("Concat", ["length", "texts"], ["target"], axis=0),
        helper.make_node("Reshape", ["input_ids", "target"], ["y"]),
    ]
    (found,) = run(simplify(encoder(nodes)), batch(3, 4))
    assert found.shape == (4, 3)


def test_rows_that_are_neither_the_first_nor_all_the_same_stay() -> None:
    # The last position first: L - 1, L - 2 ... 0.
    nodes = [
        helper.make_node("Shape", ["input_ids"], ["length"], start=1),
        helper.make_node("Sub", ["length", "one"], ["last"]),
        helper.make_node("Squeeze", ["last"], ["last_scalar"]),
        helper.make_node("Range", ["last_scalar", "minus", "minus"], ["places"]),
        helper.make_node("Unsqueeze", ["places", "zero"], ["rows"]),
        helper.make_node("Gather", ["table", "rows"], ["taken"]),
        helper.make_node("Add", ["taken", "taken"], ["y"]),
    ]
    table = np.arange(300, dtype=np.float32).reshape(100, 3)
    constants = {"one": np.array([1]), "minus": np.int64(-1), "zero": np.array([0]), "table": table}
    graph = encoder(
        nodes, *(numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items())
    )
    (found,) = run(simplify(graph), batch(2, 5))
    np.testing.assert_array_equal(found[0], 2 * table[4::-1])
