"""Sparse INT8 weights stored as their non-zero values and a bit for each place.

Zeros cost ONNX Runtime as much time as other values, but they need not take space in a file. A matrix
(K, N) with a share p of non-zeros takes K N (1/8 + p) bytes instead of K N: a quarter at 90 % zeros.

The graph unpacks them itself, by standard operators on constants alone. ONNX Runtime computes such nodes
once, when it loads the graph, and goes on with the dense matrix, so a query takes the same time::

    bits (K N / 8, 1) uint8: a bit for each place, row by row, the first in the lowest bit
    values (1 + n,) int8: a zero, and then the non-zeros, column by column
    before (N,) int32: how many non-zeros the columns before have
      set = bits >> [0 .. 7] & 1                      (K, N)
      matrix = values[set * (before + cumsum(set))]   summed down each column
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

_PRODUCTS = ("MatMulInteger", "MatMulIntegerToFloat")
# A packed matrix may take this share of the dense one at most: for less gain, loading is not slowed.
_WORTH = 0.75


def pack_sparse(graph: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of ``graph`` with its sparse INT8 matrices packed; others, and all outputs, are the same.

    Those that products multiply by are packed, not tables. The same graph gives the same bytes.
    """
    packed = onnx.ModelProto()
    packed.CopyFrom(graph)
    multiplied = {n.input[1] for n in graph.graph.node if n.op_type in _PRODUCTS}
    unpacking = _Unpacking()
    kept = []
    for tensor in packed.graph.initializer:
        if tensor.name not in multiplied or not unpacking.take(tensor):
            kept.append(tensor)
    nodes = [*unpacking.nodes, *packed.graph.node]
    initializers = [*kept, *unpacking.constants.values()]
    # Copied by extend before the originals go.
    rewritten = helper.make_graph(
        nodes, packed.graph.name, packed.graph.input, packed.graph.output, initializers
    )
    packed.graph.CopyFrom(rewritten)
    return packed


class _Unpacking:
    """What a graph needs to unpack the matrices taken."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def take(self, tensor: onnx.TensorProto) -> bool:
        """Whether ``tensor`` is made by the nodes now, as packing it is worth while."""
        matrix = numpy_helper.to_array(tensor)
        is_set = matrix != 0
        packed = is_set.sum() + matrix.size / 8
        if matrix.dtype != np.int8 or matrix.size % 8 or packed > _WORTH * matrix.size:
            return False
        name = tensor.name
        totals = is_set.sum(axis=0)
        zero_and_values = np.concatenate([np.zeros(1, np.int8), matrix.T[is_set.T]])
        bits = self._constant(f"{name}_bits", np.packbits(is_set, bitorder="little")[:, None])
        values = self._constant(f"{name}_values", zero_and_values)
        before = self._constant(f"{name}_before", (totals.cumsum() - totals).astype(np.int32))
        places = self._constant("packed_places", np.arange(8, dtype=np.uint8)[None])
        one = self._constant("packed_one", np.uint8(1))
        shape = self._constant(
            f"packed_shape_{'x'.join(map(str, matrix.shape))}", np.array(matrix.shape)
        )
        down = self._constant("packed_axis", np.array(0))
        # NonZero and ScatterND would do as well, but ONNX Runtime computes NonZero at each run.
        shifted = self._node("BitShift", [bits, places], f"{name}_shifted", direction="RIGHT")
        lowest = self._node("BitwiseAnd", [shifted, one], f"{name}_lowest")  # (KN / 8, 8)
        placed = self._node("Reshape", [lowest, shape], f"{name}_placed")  # (K, N)
        wide = self._node("Cast", [placed], f"{name}_wide", to=onnx.TensorProto.INT32)
        count = self._node("CumSum", [wide, down], f"{name}_count")
        number = self._node("Add", [count, before], f"{name}_number")
        chosen = self._node("Mul", [wide, number], f"{name}_chosen")
        self._node("Gather", [values, chosen], name)
        return True

    def _node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def _constant(self, name: str, value: Any) -> str:
        """``name``, with ``value`` under it; one name has one value."""
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.asarray(value), name)
        return name
