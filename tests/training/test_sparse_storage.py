"""Packed weights: smaller on disk, bit for bit the same in a session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("onnx", reason="the [train] extra is not installed")

import onnx
import onnxruntime
from onnx import helper, numpy_helper

from lurcher.training.compression.int8 import quantize_int8
from lurcher.training.compression.sparse_storage import pack_sparse
from lurcher.training.compression.tensors import evaluate

Matrix = npt.NDArray[Any]


def model(operator: str, kind: int, weights: Matrix) -> onnx.ModelProto:
    """y = x (B, K) of type ``kind`` times ``weights`` (K, N)."""
    made = helper.make_graph(
        [helper.make_node(operator, ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", kind, ["batch", weights.shape[0]])],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def graph(weights: Matrix) -> onnx.ModelProto:
    """A product of integers."""
    return model("MatMulInteger", onnx.TensorProto.UINT8, weights)


def sparse(zeros: float, *shape: int) -> Matrix:
    """Weights (K, N) int8 of which the share ``zeros`` are zero."""
    generator = np.random.default_rng(0)
    weights = generator.integers(1, 128, shape).astype(np.int8)
    weights.flat[generator.permutation(weights.size)[: round(zeros * weights.size)]] = 0
    return weights


@pytest.mark.parametrize("zeros", [0.5, 0.9, 1.0])
@pytest.mark.parametrize("shape", [(16, 8), (8, 33), (1, 8), (8, 1), (384, 64)])
def test_a_packed_matrix_is_bit_for_bit_the_same(zeros: float, shape: tuple[int, int]) -> None:
    weights = sparse(zeros, *shape)
    x = np.random.default_rng(1).integers(0, 256, (5, shape[0])).astype(np.uint8)
    packed = pack_sparse(graph(weights))
    assert "w" not in {i.name for i in packed.graph.initializer}
    ((unpacked, product),) = evaluate(packed, ["w", "y"], [{"x": x}])
    np.testing.assert_array_equal(unpacked, weights)
    np.testing.assert_array_equal(product, x.astype(np.int32) @ weights)


def test_the_products_of_a_quantised_graph_are_the_same() -> None:
    weights = sparse(0.9, 64, 48).astype(np.float32)
    quantised = quantize_int8(model("MatMul", onnx.TensorProto.FLOAT, weights))
    packed = pack_sparse(quantised)
    assert "w_int8" not in {i.name for i in packed.graph.initializer}
    x = np.random.default_rng(1).normal(size=(5, 64)).astype(np.float32)
    ((found,),) = evaluate(packed, ["y"], [{"x": x}])
    ((wanted,),) = evaluate(quantised, ["y"], [{"x": x}])
    np.testing.assert_array_equal(found, wanted)


def test_ninety_per_cent_of_zeros_take_a_quarter_of_the_bytes() -> None:
    weights = sparse(0.9, 384, 1536)
    assert len(pack_sparse(graph(weights)).SerializeToString()) < 0.25 * weights.size


@pytest.mark.parametrize(
    "weights",
    [sparse(0, 16, 8), sparse(0.2, 16, 8), sparse(0.9, 9, 5), sparse(0.9, 16, 8).astype(np.uint8)],
    ids=["dense", "little to gain", "part of a byte", "not int8"],
)
def test_other_matrices_stay_as_they_are(weights: Matrix) -> None:
    assert pack_sparse(graph(weights)) == graph(weights)


def test_a_table_stays_as_it_is() -> None:
    table = graph(sparse(0.9, 16, 8))
    table.graph.node[0].CopyFrom(helper.make_node("Gather", ["w", "x"], ["y"]))
    assert pack_sparse(table) == table


def test_the_same_graph_gives_the_same_bytes_and_is_left_alone() -> None:
    given = graph(sparse(0.9, 16, 8))
    before = given.SerializeToString()
    assert pack_sparse(given).SerializeToString() == pack_sparse(given).SerializeToString()
    assert given.SerializeToString() == before


def test_onnx_runtime_unpacks_once_when_it_loads(tmp_path: Path) -> None:
    weights = sparse(0.9, 64, 32)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    options.log_severity_level = 3  # it warns that the saved graph suits this machine only
    packed = pack_sparse(graph(weights)).SerializeToString()
    onnxruntime.InferenceSession(packed, options, providers=["CPUExecutionProvider"])
    loaded = onnx.load(tmp_path / "loaded.onnx").graph
    assert [node.op_type for node in loaded.node] == ["MatMulInteger"]
    np.testing.assert_array_equal(numpy_helper.to_array(loaded.initializer[0]), weights)
