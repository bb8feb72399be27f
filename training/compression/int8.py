"""Weights and activations to INT8, one scale for each token.

Dynamic quantisation in the usual form, ONNX Runtime's DynamicQuantizeLinear, takes one scale for
the whole activation tensor: one text with an outlier then coarsens every other text of its batch,
and a query's vector depends on what it was batched with. With one scale for each token a text's
vector depends on the text alone, and is closer to the original's.

For an activation row a (a token) and a weight column w::

    m = max |a|        A = round(127 a / m)     in [-127, 127]
    s = max |w| / 127  W = round(w / s)         in [-127, 127]
    a . w  ~  m * (s / 127) * (A . W)           A . W exact in INT32

This is ZeroQuant's token-wise activation quantisation (Yao et al. 2022, "ZeroQuant: Efficient and
Affordable Post-Training Quantization for Large-Scale Transformers"). Departure: weights have a
scale for each output column, not for each group of rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

# A smaller table (token types, relative positions) saves nothing worth its rounding.
_MIN_ROWS = 64
# Keeps a row of zeros from dividing by zero; far below any activation.
_TINY = np.float32(1e-12)
RUNTIME_DOMAIN = "com.microsoft"  # where ONNX Runtime keeps MatMulIntegerToFloat

Weights = npt.NDArray[np.float32]


def quantize_int8(graph: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of ``graph`` whose constant matrices and embedding tables are INT8.

    Every MatMul with a constant 2-D right side gets per-token activations and per-column weights;
    every constant 2-D table whose rows are taken gets one scale a row. All else stays as it is.
    """
    return Rewriter(graph).run()


def columns_to_int8(w: Weights) -> tuple[npt.NDArray[np.int8], Weights]:
    """Integers (K, N) and one scale a column (N,), so that ``w ~ integers * scales``."""
    scales = np.maximum(np.abs(w).max(axis=0), _TINY) / np.float32(127)  # (N,)
    return np.rint(w / scales).astype(np.int8), scales


class Rewriter:
    """One pass over the nodes of one graph; what a product becomes is a subclass's to change."""

    def __init__(self, graph: onnx.ModelProto) -> None:
        self.model = onnx.ModelProto()
        self.model.CopyFrom(graph)
        self.constants = {i.name: i for i in self.model.graph.initializer}
        self.nodes: list[onnx.NodeProto] = []
        self.added: dict[str, onnx.TensorProto] = {}
        self.activations: dict[str, tuple[str, str]] = {}
        self.taken: set[str] = set()

    def run(self) -> onnx.ModelProto:
        """The rewritten copy."""
        self.taken = {name for node in self.model.graph.node for name in node.output}
        for node in self.model.graph.node:
            self.taken.difference_update(node.output)
            if self.is_product(node):
                self.product(node)
            elif node.op_type == "Slice" and self._is_table(node):
                self._slice(node)
            elif node.op_type == "Gather" and self._is_table(node):
                self._gather(node)
            else:
                self.nodes.append(node)
                self.taken.update(node.output)
        used = {name for node in self.nodes for name in node.input}
        kept = [i for i in self.model.graph.initializer if i.name in used]
        graph = self.model.graph
        nodes, initializers = list(self.nodes), [*kept, *self.added.values()]
        del graph.node[:], graph.initializer[:]
        graph.node.extend(nodes)
        graph.initializer.extend(initializers)
        if all(o.domain != RUNTIME_DOMAIN for o in self.model.opset_import):
            self.model.opset_import.append(helper.make_opsetid(RUNTIME_DOMAIN, 1))
        return self.model

    def is_product(self, node: onnx.NodeProto) -> bool:
        """Whether ``node`` multiplies an activation by a constant matrix."""
        return bool(node.op_type == "MatMul" and self._is_matrix(node.input[1]))

    def product(self, node: onnx.NodeProto) -> None:
        """Add what replaces ``node``, for which ``is_product`` holds."""
        activation, weight = node.input
        integers, scales = columns_to_int8(numpy_helper.to_array(self.constants[weight]))
        a, peak = self._activation(activation)
        inputs = [
            a,
            self.constant(f"{weight}_int8", integers),
            self.constant("int8_one", np.float32(1)),
            self.constant(f"{weight}_scale", scales / np.float32(127)),
            self.constant("int8_zero", np.uint8(128)),
            self.constant(f"int8_zero_{len(scales)}", np.zeros(len(scales), np.int8)),
        ]
        output = node.output[0]
        total = self.node("MatMulIntegerToFloat", inputs, f"{output}_sum", domain=RUNTIME_DOMAIN)
        self.node("Mul", [total, peak], output)

    def _is_matrix(self, name: str) -> bool:
        constant = self.constants.get(name)
        return (
            constant is not None
            and len(constant.dims) == 2
            and constant.data_type == onnx.TensorProto.FLOAT
        )

    def _is_table(self, node: onnx.NodeProto) -> bool:
        if not self._is_matrix(node.input[0]):
            return False
        axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
        rows, columns = self.constants[node.input[0]].dims
        # One column is the scales of a table that is INT8 already.
        return bool(axis == 0 and rows > _MIN_ROWS and columns > 1)

    def constant(self, name: str, value: npt.NDArray[np.generic] | np.generic) -> str:
        """``name``, with ``value`` under it; one name has one value, so layers share weights."""
        if name not in self.added:
            self.added[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """``output``, made by a new node; where that name is taken, as good a one."""
        # A row of a table that a product takes has two INT8 forms.
        while output in self.taken:
            output += "_"
        self.taken.add(output)
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def _activation(self, name: str) -> tuple[str, str]:
        """The tensors A and m of activation ``name``, made once for all products that share it.

        A is scaled by hand and quantised with scale 1: QuantizeLinear's own per-axis scale would
        need the tensor flattened to rows and every product shaped back.
        """
        if name not in self.activations:
            one = self.constant("int8_one", np.float32(1))
            zero = self.constant("int8_zero", np.uint8(128))
            size = self.node("Abs", [name], f"{name}_abs")  # (B, L, K)
            last = self.constant("int8_last_axis", np.array([-1]))
            peak = self.node("ReduceMax", [size, last], f"{name}_peak", keepdims=1)  # (B, L, 1)
            peak = self.node("Max", [peak, self.constant("int8_tiny", _TINY)], f"{name}_m")
            top = self.constant("int8_127", np.float32(127))
            factor = self.node("Div", [top, peak], f"{name}_factor")
            scaled = self.node("Mul", [name, factor], f"{name}_scaled")  # (B, L, K)
            integers = self.node("QuantizeLinear", [scaled, one, zero], f"{name}_int8")
            self.activations[name] = (integers, peak)
        return self.activations[name]

    def _gather(self, node: onnx.NodeProto) -> None:
        table, rows = node.input
        output = node.output[0]
        int8, scale = self._table(table)
        taken = self.node("Gather", [int8, rows], f"{output}_int8")
        as_float = self.node("Cast", [taken], f"{output}_float", to=onnx.TensorProto.FLOAT)
        row_scale = self.node("Gather", [scale, rows], f"{output}_scale")
        self.node("Mul", [as_float, row_scale], output)

    def _slice(self, node: onnx.NodeProto) -> None:
        """The first rows, as simplify takes positions: the table is small, and kept by this graph alone.

        It is made float before it is cut: ONNX Runtime does what needs no input once, as it loads.
        """
        output = node.output[0]
        int8, scale = self._table(node.input[0])
        as_float = self.node("Cast", [int8], f"{output}_float", to=onnx.TensorProto.FLOAT)
        whole = self.node("Mul", [as_float, scale], f"{output}_whole")
        self.node("Slice", [whole, *node.input[1:]], output)

    def _table(self, name: str) -> tuple[str, str]:
        """The integers (V, d) of table ``name``, and its scales (V, 1)."""
        integers, scales = columns_to_int8(numpy_helper.to_array(self.constants[name]).T)
        int8 = self.constant(f"{name}_int8", np.ascontiguousarray(integers.T))
        return int8, self.constant(f"{name}_scale", scales[:, None])
