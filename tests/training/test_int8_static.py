"""Static INT8: a NumPy twin, smoothing, ranges chosen by what they do to the vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("onnx", reason="the [train] extra is not installed")

import onnx
from onnx import helper, numpy_helper

from lurcher.errors import FieldError
from lurcher.training.compression.int8 import columns_to_int8, quantize_int8
from lurcher.training.compression.int8_static import quantize_static_int8
from lurcher.training.compression.simplify import simplify
from lurcher.training.compression.tensors import Inputs, evaluate
from lurcher.training.graph import build_graph
from lurcher.training.original import read_recipe

Array = npt.NDArray[np.float32]
FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64


def layer(normalise: bool = False, **constants: Array) -> onnx.ModelProto:
    """y = x w + b, x (B, L, K) being "a" or its LayerNorm with the constants "gain" and "shift"."""
    norm = helper.make_node("LayerNormalization", ["a", "gain", "shift"], ["x"], axis=-1)
    graph = helper.make_graph(
        [
            norm if normalise else helper.make_node("Identity", ["a"], ["x"]),
            helper.make_node("MatMul", ["x", "w"], ["xw"]),
            helper.make_node("Add", ["b", "xw"], ["y"]),
        ],
        "test",
        [
            helper.make_tensor_value_info("a", FLOAT, [None] * 3),
            helper.make_tensor_value_info("attention_mask", INT64, [None] * 2),
        ],
        [helper.make_tensor_value_info("y", FLOAT, [None] * 3)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def batch(a: Array) -> Inputs:
    return {"a": a, "attention_mask": np.ones(a.shape[:2], np.int64)}


def run(graph: onnx.ModelProto, inputs: Inputs) -> Array:
    ((found,),) = evaluate(graph, [graph.graph.output[0].name], [inputs])
    array: Array = found
    return array


def operators(graph: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in graph.graph.node]


def relative(found: Array, wanted: Array) -> float:
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def test_a_product_is_what_the_formula_says_with_the_bias_inside() -> None:
    # Few values, so that no share of them can be left out.
    a, w, b = normal(1, 4, 16), normal(16, 20, seed=1), normal(20, seed=2)
    graph = quantize_static_int8(layer(w=w, b=b), [batch(a)])
    assert operators(graph) == ["Identity", "QuantizeLinear", "MatMulIntegerToFloat"]
    scale = (a.max() - a.min()) / np.float32(255)
    zero = np.rint(-a.min() / scale)
    integers = np.clip(np.rint(a / scale) + zero, 0, 255).astype(np.int32) - int(zero)
    columns, scales = columns_to_int8(w)
    twin = (integers @ columns.astype(np.int32)) * (scale * scales) + b
    np.testing.assert_allclose(run(graph, batch(a)), twin, rtol=1e-4, atol=1e-4)


def test_values_beyond_the_range_are_cut_to_its_end() -> None:
    a = normal(1, 4, 16)
    identity = layer(w=np.eye(16, dtype=np.float32), b=np.zeros(16, np.float32))
    graph = quantize_static_int8(identity, [batch(a)])
    found = run(graph, batch(np.full_like(a, 100)))
    np.testing.assert_allclose(found, np.full_like(a, a.max()), rtol=0.02)


def test_a_vector_does_not_depend_on_its_batch() -> None:
    a = normal(3, 5, 16)
    graph = quantize_static_int8(layer(w=normal(16, 8), b=normal(8)), [batch(a)])
    together = run(graph, batch(a))
    for row in range(3):
        np.testing.assert_array_equal(run(graph, batch(a[row : row + 1]))[0], together[row])


def test_large_channels_after_a_layer_norm_do_not_coarsen_the_others() -> None:
    gain = np.ones(64, np.float32)
    gain[5] = 50
    w = normal(64, 32, seed=1)
    w[5] /= 50
    graph = layer(True, gain=gain, shift=np.zeros(64, np.float32), w=w, b=np.zeros(32, np.float32))
    inputs = batch(normal(4, 8, 64))
    wanted = run(graph, inputs)
    assert relative(run(quantize_static_int8(graph, [inputs]), inputs), wanted) < 0.02
    # So they would, in proportion: one scale a token is no help either.
    assert relative(run(quantize_int8(graph), inputs), wanted) > 0.05


def test_a_range_that_leaves_out_what_matters_is_not_taken() -> None:
    """One value in 20,000 is half as large again as any other."""
    a = np.random.default_rng(0).uniform(-20, 20, (1, 400, 50)).astype(np.float32)
    a[0, 123, 7] = 30
    graph = layer(w=np.eye(50, dtype=np.float32), b=np.zeros(50, np.float32))
    quantised = quantize_static_int8(graph, [batch(a)])
    assert "ReduceMax" not in operators(quantised)
    np.testing.assert_allclose(run(quantised, batch(a))[0, 123, 7], 30, rtol=0.02)


def test_an_activation_that_no_range_suits_keeps_scales_by_token() -> None:
    """Tokens of a thousandth and of a thousand, each of which the vectors need."""
    sizes = np.where(np.arange(64) % 2, 1e3, 1e-3).astype(np.float32)
    a = normal(1, 64, 32) * sizes[:, None]
    # The output is each token's in its own units.
    graph = layer(w=normal(32, 8), b=np.zeros(8, np.float32))
    graph.graph.node.append(helper.make_node("Div", ["y", "sizes"], ["scaled"]))
    graph.graph.initializer.append(numpy_helper.from_array(sizes[None, :, None], "sizes"))
    graph.graph.output[0].name = "scaled"
    quantised = quantize_static_int8(graph, [batch(a)])
    assert "ReduceMax" in operators(quantised)
    assert relative(run(quantised, batch(a)), run(graph, batch(a))) < 0.02


def test_the_same_batches_give_the_same_bytes_and_the_graph_is_left_alone() -> None:
    graph = layer(w=normal(16, 8), b=normal(8))
    before = graph.SerializeToString()
    batches = [batch(normal(2, 5, 16, seed=i)) for i in range(5)]
    first = quantize_static_int8(graph, iter(batches)).SerializeToString()
    assert quantize_static_int8(graph, batches).SerializeToString() == first
    assert graph.SerializeToString() == before


@pytest.mark.parametrize("batches", [[], [batch(np.zeros((0, 0, 16), np.float32))]])
def test_no_text_to_calibrate_on_is_an_error(batches: Sequence[Inputs]) -> None:
    graph = layer(w=normal(16, 8), b=normal(8))
    with pytest.raises(FieldError, match=r"calibration: .* give some queries"):
        quantize_static_int8(graph, batches)


@pytest.mark.parametrize("architecture", ["bert", "distilbert"])
def test_an_encoder_keeps_its_vectors(
    architecture: str, checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    folder = checkpoint(architecture)
    graph = simplify(build_graph(folder, read_recipe(folder, None, None), tmp_path))
    random = np.random.default_rng(0)
    texts = [random.integers(1, 300, (1, length)) for length in random.integers(3, 20, 40)]
    batches = [{"input_ids": ids, "attention_mask": np.ones_like(ids)} for ids in texts]
    quantised = quantize_static_int8(graph, batches[:30])
    assert "DynamicQuantizeLinear" not in operators(quantised)
    assert operators(quantised).count("MatMulIntegerToFloat") == 12
    for inputs in batches[30:]:
        assert float(run(quantised, inputs)[0] @ run(graph, inputs)[0]) > 0.99
