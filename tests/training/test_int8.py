"""Per-token INT8: a NumPy twin, independence of the batch, and what is left alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

pytest.importorskip("onnx", reason="the [train] extra is not installed")

import onnx
from onnx import helper, numpy_helper

from lurcher.training.compression.int8 import columns_to_int8, quantize_int8

Array = npt.NDArray[np.float32]
FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64


def model(
    nodes: list[onnx.NodeProto],
    constants: Mapping[str, Array],
    inputs: Mapping[str, tuple[int, int]],
    outputs: Mapping[str, int],
) -> onnx.ModelProto:
    """A model; inputs are name -> (type, rank), outputs name -> rank."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(n, t, [None] * rank) for n, (t, rank) in inputs.items()],
        [helper.make_tensor_value_info(n, FLOAT, [None] * rank) for n, rank in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def run(graph: onnx.ModelProto, **inputs: npt.NDArray[Any]) -> list[Array]:
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found: list[Array] = session.run(None, inputs)
    return found


def twin(a: Array, w: Array) -> Array:
    """The formula of training.compression.int8, in NumPy."""
    m = np.maximum(np.abs(a).max(axis=-1, keepdims=True), np.float32(1e-12))  # (..., 1)
    rows = np.rint(a * (np.float32(127) / m)).astype(np.int32)  # (..., K)
    integers, scales = columns_to_int8(w)
    product = (rows @ integers.astype(np.int32)).astype(np.float32)  # (..., N)
    found: Array = product * (scales / np.float32(127)) * m
    return found


def one_matmul(w: Array, rank: int) -> onnx.ModelProto:
    node = helper.make_node("MatMul", ["a", "w"], ["y"])
    return model([node], {"w": w}, {"a": (FLOAT, rank)}, {"y": rank})


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(5, 48), (3, 5, 48), (2, 3, 5, 48)])
def test_a_product_is_what_the_formula_says_at_any_rank(shape: tuple[int, ...]) -> None:
    a, w = normal(*shape), normal(48, 20, seed=1)
    graph = quantize_int8(one_matmul(w, len(shape)))
    (found,) = run(graph, a=a)
    np.testing.assert_allclose(found, twin(a, w), rtol=1e-5, atol=1e-5)
    error = np.linalg.norm(found - a @ w) / np.linalg.norm(a @ w)
    assert 0 < error < 0.02  # it rounds, and no more than INT8 has to


def test_weights_are_stored_as_int8() -> None:
    graph = quantize_int8(one_matmul(normal(48, 20), 3))
    types = {i.name: i.data_type for i in graph.graph.initializer}
    assert "w" not in types
    assert types["w_int8"] == onnx.TensorProto.INT8


def test_an_outlier_in_one_text_leaves_the_others_as_they_were() -> None:
    a = normal(2, 4, 48)
    graph = quantize_int8(one_matmul(normal(48, 20, seed=1), 3))
    (before,) = run(graph, a=a)
    a[1, 2, 7] = 1e4
    (after,) = run(graph, a=a)
    np.testing.assert_array_equal(after[0], before[0])
    np.testing.assert_array_equal(after[1, [0, 1, 3]], before[1, [0, 1, 3]])


def test_a_row_or_column_of_zeros_gives_zeros() -> None:
    a, w = normal(2, 3, 16), normal(16, 4, seed=1)
    a[0, 1], w[:, 2] = 0, 0
    (found,) = run(quantize_int8(one_matmul(w, 3)), a=a)
    assert np.isfinite(found).all()
    assert not found[0, 1].any()
    assert not found[..., 2].any()


def test_products_of_one_activation_share_its_integers_and_layers_share_weights() -> None:
    nodes = [
        helper.make_node("MatMul", ["a", "w"], ["y"]),
        helper.make_node("MatMul", ["a", "v"], ["z"]),
        helper.make_node("MatMul", ["y", "w"], ["x"]),
    ]
    w, v, a = normal(16, 16), normal(16, 4, seed=1), normal(2, 3, 16, seed=2)
    graph = model(nodes, {"w": w, "v": v}, {"a": (FLOAT, 3)}, {"z": 3, "x": 3})
    found = quantize_int8(graph)
    operators = [node.op_type for node in found.graph.node]
    assert operators.count("QuantizeLinear") == 2  # of a and of y
    assert [i.name for i in found.graph.initializer].count("w_int8") == 1
    z, x = run(found, a=a)
    np.testing.assert_allclose(z, twin(a, v), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(x, twin(twin(a, w), w), rtol=1e-2, atol=0.2)


def test_a_table_has_one_scale_a_row() -> None:
    table = normal(100, 8) * np.logspace(-3, 3, 100, dtype=np.float32)[:, None]
    node = helper.make_node("Gather", ["table", "ids"], ["y"])
    graph = quantize_int8(model([node], {"table": table}, {"ids": (INT64, 2)}, {"y": 3}))
    ids = np.array([[0, 99, 50], [7, 7, 1]])
    (found,) = run(graph, ids=ids)
    largest = np.abs(table[ids]).max(axis=-1, keepdims=True)
    assert (np.abs(found - table[ids]) <= largest / 127 / 2 * 1.0001).all()
    assert {i.name: list(i.dims) for i in graph.graph.initializer} == {
        "table_int8": [100, 8],
        "table_scale": [100, 1],
    }


def test_the_first_rows_of_a_table_are_cut_from_integers() -> None:
    table = normal(100, 8)
    node = helper.make_node("Slice", ["table", "zero", "end", "zero"], ["y"])
    graph = model([node], {"table": table}, {"end": (INT64, 1)}, {"y": 2})
    graph.graph.initializer.append(numpy_helper.from_array(np.array([0]), "zero"))
    quantised = quantize_int8(graph)
    (found,) = run(quantised, end=np.array([7]))
    assert found.shape == (7, 8)
    largest = np.abs(table[:7]).max(axis=-1, keepdims=True)
    assert (np.abs(found - table[:7]) <= largest / 127 / 2 * 1.0001).all()
    assert "table" not in {i.name for i in quantised.graph.initializer}


def test_small_tables_and_products_of_two_activations_stay_as_they_are() -> None:
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("MatMul", ["rows", "b"], ["y"]),
    ]
    inputs = {"ids": (INT64, 2), "b": (FLOAT, 3)}
    graph = model(nodes, {"table": normal(64, 8)}, inputs, {"y": 3})
    found = quantize_int8(graph)
    assert found.graph == graph.graph


def test_the_given_graph_is_not_changed() -> None:
    graph = one_matmul(normal(48, 20), 3)
    before = graph.SerializeToString()
    quantize_int8(graph)
    assert graph.SerializeToString() == before
