"""Parts of an ONNX graph computed by NumPy: constants that a graph unpacks, tables that it puts together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lurcher.models.engines.native.onnx_file import TYPES, Array, Graph, Node


class Evaluator:
    """Values of a graph's tensors, as far as constants and ``given`` inputs decide them."""

    def __init__(self, graph: Graph, given: Mapping[str, Array] | None = None) -> None:
        self._graph = graph
        self._values: dict[str, Array | None] = {"": None, **graph.constants, **(given or {})}

    def value(self, name: str) -> Array | None:
        """The tensor ``name``; None if it depends on other inputs or on operators not known here."""
        # A stack instead of recursion: graphs are deeper than Python's.
        waiting = [name]
        while waiting:
            one = waiting[-1]
            node = self._graph.producers.get(one)
            if one in self._values or node is None:
                self._values.setdefault(one, None)
                waiting.pop()
                continue
            missing = [i for i in node.inputs if i not in self._values]
            if missing:
                waiting += missing
                continue
            inputs = [self._values[i] for i in node.inputs]
            known = all(v is not None or not i for v, i in zip(inputs, node.inputs, strict=True))
            self._values[one] = _compute(node, inputs) if known else None
            waiting.pop()
        return self._values[name]

    def certain(self, name: str) -> Array:
        """``value``, for a tensor that has one. Raises ValueError."""
        found = self.value(name)
        if found is None:
            raise ValueError(f"{name!r} is not what it should be: a constant")
        return found


def _compute(node: Node, inputs: list[Any]) -> Array | None:
    """What ``node`` makes of its ``inputs``, by ONNX's definition of its operator."""
    a = node.attributes
    match node.op, inputs:
        case "Constant", _:
            return np.asarray(next(iter(a.values())))
        case "Identity", [x]:
            return np.asarray(x)
        case "Cast", [x]:
            return np.asarray(x).astype(TYPES[a["to"]]) if a["to"] in TYPES else None
        case "Shape", [x]:
            return np.array(x.shape, np.int64)[a.get("start", 0) : a.get("end", len(x.shape))]
        case "ConstantOfShape", [x]:
            return np.full(tuple(x), a["value"][0] if "value" in a else np.float32(0))
        case "Gather", [x, index]:
            return np.asarray(np.take(x, index, axis=a.get("axis", 0)))
        case "Unsqueeze", [x, axes]:
            return np.asarray(np.expand_dims(x, tuple(axes)))
        case "Concat", _:
            return np.concatenate(inputs, axis=a["axis"])
        case "Reshape", [x, shape]:
            return np.asarray(np.reshape(x, tuple(shape)))
        case "Transpose", [x]:
            return np.asarray(np.transpose(x, a.get("perm")))
        case "Slice", [x, starts, ends, *rest]:
            axes = rest[0] if rest else range(len(starts))
            steps = rest[1] if len(rest) > 1 else [1] * len(starts)
            cut = [slice(None)] * x.ndim
            for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
                cut[axis] = slice(start, end, step)
            return np.asarray(x[tuple(cut)])
        case "BitShift", [x, y]:
            return np.asarray(x >> y if a["direction"] == "RIGHT" else x << y)
        case "BitwiseAnd", [x, y]:
            return np.asarray(x & y)
        case "CumSum", [x, axis]:
            return np.asarray(np.cumsum(x, axis=int(axis), dtype=x.dtype))
        case "Abs", [x]:
            return np.asarray(np.abs(x))
        case "ReduceMax", [x, axes]:
            return np.asarray(np.max(x, axis=tuple(axes), keepdims=bool(a.get("keepdims", 1))))
        case "QuantizeLinear", [x, scale, zero]:
            whole = np.rint(x / scale) + zero.astype(np.float32)
            limits = np.iinfo(zero.dtype)
            return np.asarray(np.clip(whole, limits.min, limits.max).astype(zero.dtype))
        case "MatMulIntegerToFloat", [x, y, x_scale, y_scale, x_zero, y_zero, *_]:
            whole = (x.astype(np.int32) - x_zero).astype(np.float32)
            return np.asarray(
                (whole @ (y.astype(np.int32) - y_zero).astype(np.float32)) * (x_scale * y_scale)
            )
        case (("Add" | "Sub" | "Mul" | "Div" | "Max" | "Min" | "Sqrt"), _):
            function = getattr(np, _UFUNCS[node.op])
            return np.asarray(function(*inputs))
    return None


_UFUNCS = {"Add": "add", "Sub": "subtract", "Mul": "multiply", "Div": "true_divide", "Max": "maximum",
           "Min": "minimum", "Sqrt": "sqrt"}  # fmt: skip
