"""Ends and spreads of activations: by channel, without padding, over all batches."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("onnx", reason="the [train] extra is not installed")

import onnx
from onnx import helper

from lurcher.training.compression.calibration import Spread, channel_ends, spreads
from lurcher.training.compression.tensors import Inputs

FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64


@pytest.fixture
def doubling() -> onnx.ModelProto:
    """ "twice" is twice "a" (B, L, K)."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "a"], ["twice"]), helper.make_node("Abs", ["twice"], ["y"])],
        "test",
        [
            helper.make_tensor_value_info("a", FLOAT, [None] * 3),
            helper.make_tensor_value_info("attention_mask", INT64, [None] * 2),
        ],
        [onnx.ValueInfoProto(name="y")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def batch(values: npt.ArrayLike, mask: npt.ArrayLike) -> Inputs:
    return {"a": np.asarray(values, np.float32), "attention_mask": np.asarray(mask)}


def test_ends_are_those_of_each_channel_over_all_tokens_but_padding(
    doubling: onnx.ModelProto,
) -> None:
    batches = [
        batch([[[1, -1], [2, 0]], [[3, 5], [99, -99]]], [[1, 1], [1, 0]]),
        batch([[[-4, 1]]], [[1]]),
    ]
    least, largest = channel_ends(doubling, ["twice"], batches)["twice"]
    np.testing.assert_array_equal(least, [-8, -2])
    np.testing.assert_array_equal(largest, [6, 10])


def test_a_spread_counts_every_value_once_divided_by_its_channel(
    doubling: onnx.ModelProto,
) -> None:
    batches = [batch([[[1, 10], [2, 20]]], [[1, 1]]), batch([[[3, 30]]], [[1]])]
    ends = channel_ends(doubling, ["twice"], batches)
    divisor = np.array([1, 10], np.float32)
    found = spreads(doubling, ends, {"twice": divisor}, batches)["twice"]
    assert (found.least, found.largest) == (2, 6)
    assert found.counts.sum() == 6
    assert [found.counts[0], found.counts[-1]] == [2, 2]


def test_a_range_leaves_out_that_share_at_each_end() -> None:
    counts = np.ones(1000, np.int64)
    spread = Spread(-1.0, 3.0, counts)
    assert spread.range(0) == (-1, 3)
    assert spread.range(0.1) == pytest.approx((-0.6, 2.6), abs=0.01)
    counts[1:-1] = 0
    assert spread.range(0.1) == (-1, 3)  # nothing but two ends, each half of all
