"""An encoder's graph without nodes that a query need not wait for.

Nearly half of the nodes of a one-layer student compute shapes, positions, token types and the mask's
expansion from the batch's size, again for each query. A node costs about a microsecond however small its
tensors are; together they are a tenth of the time of a query of 16 tokens.

The graph is run at a few sizes, and what depends on nothing but them is replaced:

- the same at every size: a constant;
- a Reshape's target of constants and copied sizes: a constant target, 0 where a size is copied;
- rows of a table at 0, 1, 2 ... L - 1 (positions): the table's first L rows;
- rows of a table all at one place (token types): that row;
- an Expand that the addition after it would have done by itself: left out.

And after the layers:

- the sum of tokens' states by weights: one product, weights (1, L) times states (L, d);
- the division by the sum of weights, where the vector is brought to norm 1 anyhow: left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from lurcher.errors import ModelError
from lurcher.training.compression.tensors import Inputs, Tensor, evaluate

# What rows without the batch's axis can be put into.
_ADDITIONS = ("Add", "Sub", "Mul")
# Texts and tokens of each run. One of either is a size at which broadcasting could hide a mistake,
# and no two runs share a size.
_SIZES = ((1, 1), (2, 5), (3, 7))
_LENGTH = "batch_length"  # (1,) int64, the tokens of the longest text


def simplify(graph: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of an encoder's ``graph`` that computes the same with fewer nodes.

    Its inputs are input_ids and attention_mask (B, L) int64. What no rule fits stays as it is. Raises
    ModelError for a graph that ONNX Runtime cannot run.
    """
    return _Simplifier(graph).run()


class _Simplifier:
    """The rewriting of one graph."""

    def __init__(self, graph: onnx.ModelProto) -> None:
        self.model = onnx.ModelProto()
        self.model.CopyFrom(graph)
        self.graph = self.model.graph
        self.batches = [_batch(*size) for size in _SIZES]

    def run(self) -> onnx.ModelProto:
        """The rewritten copy."""
        self._name_constants()
        self._fold_sizes()
        self._sweep()
        self._sum_by_product()
        makers = self._makers()
        normed = [makers.get(n.input[0]) for n in self.graph.node if n.op_type == "ReduceL2"]
        expands = [n for n in self.graph.node if n.op_type == "Expand"]
        for node in [*expands, *(n for n in normed if n is not None and n.op_type == "Div")]:
            self._leave_out(node.input[0], node.output[0])
        self._sweep()
        return self.model

    def _name_constants(self) -> None:
        """Turn Constant nodes into initializers, so that there is one kind of constant."""
        nodes = []
        for node in self.graph.node:
            value = next((a.t for a in node.attribute if a.name == "value"), None)
            if node.op_type == "Constant" and value is not None:
                tensor = self.graph.initializer.add()
                tensor.CopyFrom(value)
                tensor.name = node.output[0]
            else:
                nodes.append(node)
        self._set_nodes(nodes)

    def _fold_sizes(self) -> None:
        constants = {i.name for i in self.graph.initializer}
        sized: set[str] = set()
        for node in self.graph.node:
            known = all(not n or n in sized or n in constants for n in node.input)
            # Rows of a table have rules of their own.
            if node.op_type == "Shape" or (known and node.input and not self._is_lookup(node)):
                sized.update(node.output)
        # Where arithmetic on sizes meets data; before that, folding one tensor folds all behind it.
        uses = [
            (node, place, name)
            for node in self.graph.node
            if not sized.issuperset(node.output)
            for place, name in enumerate(node.input)
            if name in sized
        ]
        names = list(dict.fromkeys(name for _, _, name in uses))
        data = list(dict.fromkeys(n.input[0] for n, _, _ in uses if n.op_type == "Reshape"))
        found = list(evaluate(self.model, [*names, *data], self.batches))
        values = {name: [run[i] for run in found] for i, name in enumerate(names)}
        shapes = {n: [run[len(names) + i].shape for run in found] for i, n in enumerate(data)}
        for node, place, name in uses:
            value = values[name]
            if all(np.array_equal(v, value[0]) for v in value[1:]):
                node.input[place] = self._constant(f"{name}_folded", value[0])
            elif node.op_type == "Reshape" and place == 1 and not _attribute(node, "allowzero"):
                target = _target(value, shapes[node.input[0]])
                if target is not None:
                    node.input[1] = self._constant(f"{node.output[0]}_target", target)
            elif self._is_lookup(node) and place == 1:
                self._fold_rows(node, value)
        length = helper.make_node("Shape", ["input_ids"], [_LENGTH], start=1, end=2)
        self._set_nodes([length, *self.graph.node])

    def _is_lookup(self, node: onnx.NodeProto) -> bool:
        """Whether ``node`` takes rows of a constant matrix."""
        if node.op_type != "Gather" or _attribute(node, "axis"):
            return False
        return any(i.name == node.input[0] and len(i.dims) == 2 for i in self.graph.initializer)

    def _fold_rows(self, node: onnx.NodeProto, rows: list[Tensor]) -> None:
        """Replace a Gather of ``rows``, as each run had them, where they follow from their number."""
        uses = [n for n in self.graph.node if node.output[0] in n.input]
        # The replacement lacks the batch's axis, and for token types the tokens', too.
        if any(n.op_type not in _ADDITIONS for n in uses):
            return
        table = next(i for i in self.graph.initializer if i.name == node.input[0])
        if all((r == rows[0].flat[0]).all() for r in rows):
            row = numpy_helper.to_array(table)[int(rows[0].flat[0])]
            name = self._constant(f"{node.output[0]}_row", row)
            for use in uses:
                use.input[:] = [name if n == node.output[0] else n for n in use.input]
        elif all(
            r.shape == (1, length) and np.array_equal(r[0], np.arange(length))
            for r, (_, length) in zip(rows, _SIZES, strict=True)
        ):
            zero = self._constant("first_axis", np.array([0]))
            node.op_type = "Slice"
            del node.attribute[:]
            node.input[:] = [table.name, zero, _LENGTH, zero]

    def _sum_by_product(self) -> None:
        """Replace ReduceSum(states * weights of tokens) by a product."""
        makers = self._makers()
        constants = {i.name: i for i in self.graph.initializer}
        nodes = []
        for node in self.graph.node:
            scaled = makers.get(node.input[0]) if node.op_type == "ReduceSum" else None
            column = makers.get(scaled.input[1]) if scaled and scaled.op_type == "Mul" else None
            if (
                scaled is None
                or column is None
                or column.op_type != "Unsqueeze"
                or _attribute(node, "keepdims", 1)
                or [_axes(constants, n) for n in (node, column)] != [[1], [2]]
            ):
                nodes.append(node)
                continue
            total, axis = node.output[0], self._constant("tokens_axis", np.array([1]))
            nodes += [
                helper.make_node("Unsqueeze", [column.input[0], axis], [f"{total}_weights"]),
                helper.make_node("MatMul", [f"{total}_weights", scaled.input[0]], [f"{total}_row"]),
                helper.make_node("Squeeze", [f"{total}_row", axis], [total]),
            ]
        self._set_nodes(nodes)

    def _makers(self) -> dict[str, onnx.NodeProto]:
        """The node that makes each tensor."""
        return {name: node for node in self.graph.node for name in node.output}

    def _leave_out(self, before: str, after: str) -> None:
        """Use tensor ``before`` in place of ``after``, if every output stays what it is."""
        outputs = [output.name for output in self.graph.output]
        shorter = onnx.ModelProto()
        shorter.CopyFrom(self.model)
        for node in shorter.graph.node:
            node.input[:] = [before if name == after else name for name in node.input]
        wanted = evaluate(self.model, outputs, self.batches)
        found = evaluate(shorter, outputs, self.batches)
        try:
            same = all(
                one.shape == other.shape and np.allclose(one, other, rtol=1e-5, atol=1e-6)
                for runs in zip(found, wanted, strict=True)
                for one, other in zip(*runs, strict=True)
            )
        except ModelError:
            return  # a shape that nothing else makes
        if same:
            self.graph.CopyFrom(shorter.graph)

    def _sweep(self) -> None:
        """Remove what no output needs."""
        needed = {output.name for output in self.graph.output}
        kept = []
        for node in reversed(self.graph.node):
            if needed.intersection(node.output):
                needed.update(node.input)
                kept.append(node)
        self._set_nodes(reversed(kept))
        initializers = [i for i in self.graph.initializer if i.name in needed]
        del self.graph.initializer[:]
        self.graph.initializer.extend(initializers)

    def _set_nodes(self, nodes: Iterable[onnx.NodeProto]) -> None:
        nodes = [_copy(node) for node in nodes]
        del self.graph.node[:]
        self.graph.node.extend(nodes)

    def _constant(self, name: str, value: Any) -> str:
        """``name``, with ``value`` under it."""
        if all(i.name != name for i in self.graph.initializer):
            self.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name


def _attribute(node: onnx.NodeProto, name: str, default: int = 0) -> int:
    """A whole number, ``default`` where ``node`` does not have it."""
    return next((int(a.i) for a in node.attribute if a.name == name), default)


def _axes(constants: Mapping[str, onnx.TensorProto], node: onnx.NodeProto) -> list[int]:
    """The axes that ``node`` is given as a constant."""
    tensor = constants.get(node.input[1]) if len(node.input) > 1 else None
    return [] if tensor is None else [int(axis) for axis in numpy_helper.to_array(tensor)]


def _target(values: list[Tensor], shapes: list[tuple[int, ...]]) -> Tensor | None:
    """The target (n,) int64 that gives each of ``values`` for data of each of ``shapes``, if one does."""
    target = np.empty_like(values[0])
    for i in range(len(target)):
        sizes = [int(v[i]) for v in values]
        if len(set(sizes)) == 1:
            target[i] = sizes[0]
        elif all(i < len(s) and s[i] == size for s, size in zip(shapes, sizes, strict=True)):
            target[i] = 0
        else:
            return None
    return target


def _batch(texts: int, tokens: int) -> Inputs:
    """Inputs of that size, each text one token shorter than the one before, down to one."""
    lengths = np.maximum(tokens - np.arange(texts), 1)
    mask = (np.arange(tokens) < lengths[:, None]).astype(np.int64)
    ids = np.random.default_rng(0).integers(1, 50, (texts, tokens)) * mask
    return {"input_ids": ids, "attention_mask": mask}


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    copied = onnx.NodeProto()
    copied.CopyFrom(node)
    return copied
