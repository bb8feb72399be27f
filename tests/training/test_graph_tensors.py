"""Inner tensors as a run leaves them, and one error for all that ONNX Runtime raises."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the [train] extra is not installed")

import onnx
from onnx import helper

from lurcher.errors import ModelError
from lurcher.training.compression.tensors import evaluate


def chain(*operators: str) -> onnx.ModelProto:
    """Operators one after another: "a" -> "t1" -> "t2" ... -> "y"."""
    names = ["a", *(f"t{i}" for i in range(1, len(operators))), "y"]
    nodes = [helper.make_node(o, [names[i]], [names[i + 1]]) for i, o in enumerate(operators)]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("a", onnx.TensorProto.FLOAT, [None])],
        [onnx.ValueInfoProto(name="y")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def test_tensors_come_in_the_order_asked_for_each_batch() -> None:
    graph = chain("Abs", "Neg")
    batches = [{"a": np.array([-1, 2], np.float32)}, {"a": np.array([-3], np.float32)}]
    found = [[list(tensor) for tensor in run] for run in evaluate(graph, ["y", "t1"], batches)]
    assert found == [[[-1, -2], [1, 2]], [[-3], [3]]]
    assert [output.name for output in graph.graph.output] == ["y"]


def test_a_graph_that_cannot_be_loaded_or_run_is_a_model_error() -> None:
    with pytest.raises(ModelError, match="ONNX Runtime cannot run the graph"):
        list(evaluate(chain("NoSuchOperator"), ["y"], []))
    with pytest.raises(ModelError, match="ONNX Runtime cannot run the graph"):
        list(evaluate(chain("Abs"), ["y"], [{"b": np.zeros(1, np.float32)}]))
