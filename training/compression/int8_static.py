"""Weights and activations to INT8, each activation's range fixed beforehand by calibration.

The per-token quantisation of training.compression.int8 looks for every token's peak as it runs. Here the
range is a constant, so an activation costs one node, and the bias goes into the product::

    A = round(a / s) + z        in [0, 255]; s and z constants of the activation tensor
    a . w + b  ~  s t (A - z) . W + b        W = round(w / t) for each output column, as there

A text's vector depends on the text alone here, too. Two things make constants good enough:

*Smoothing*, from SmoothQuant (Xiao et al. 2023, "SmoothQuant: Accurate and Efficient Post-Training
Quantization for Large Language Models", eq. 4): LayerNorm leaves a few channels many times as large as
the others, which would leave those few of the 256 integers. Channel k of its output is divided, and row k
of the weights multiplied, by ``max |a_k|^alpha / max |w_k|^(1 - alpha)``. Departure: products that share
an activation share the divisor, by the largest weight of them all.

*Clipping*: a range leaves out a share of the values at each end, where a few are far from all others.
Which share is best differs by activation and a wrong one is ruinous, so for each activation several are
tried with all else in float32, and the one that leaves the vectors nearest to the original's is kept.

Where even the best is poor, the activation keeps its scales by token; with all-MiniLM-L6-v2 it is GELU's
output in some layers, for single values of 24 in a text among others below 5.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from lurcher.errors import FieldError
from lurcher.training.compression.calibration import Array, channel_ends, spreads
from lurcher.training.compression.int8 import RUNTIME_DOMAIN, Rewriter, columns_to_int8
from lurcher.training.compression.tensors import Inputs, evaluate

# How much of the difference between channels the weights take over. The paper's is .5, and .75 for
# models with larger outliers; measured here with 1, 2, 3 and 6 layers, .75 is never worse.
_ALPHA = 0.75
# Of all values, how many a range may leave out at each end.
_SHARES = (0.0, 1e-5, 3e-5, 6e-5, 1e-4, 3e-4)
# On how many of the calibration's texts ranges are tried, about.
_TRIED = 64
# Scales by token cost a dozen small nodes: only where they halve what one activation adds to the error,
# and that is at least this part of the whole.
_WORTH = 0.1
# Keeps zeros from dividing; far below any activation, or product of one and a weight.
_TINY = np.float32(1e-6)

Range = tuple[float, float]
# None: scales by token.
Ranges = Mapping[str, Range | None]
Divisors = Mapping[str, Array]


def quantize_static_int8(graph: onnx.ModelProto, calibration: Iterable[Inputs]) -> onnx.ModelProto:
    """A copy of ``graph`` whose constant matrices and embedding tables are INT8, activations by range.

    ``calibration`` are batches of the graph's inputs, a few hundred texts like those to come. Where
    ``attention_mask`` (B, L) is one of the inputs it says what is padding, else nothing is. The same
    batches give the same graph. Raises FieldError where they hold no text, ModelError where ONNX Runtime
    cannot run the graph.
    """
    batches = list(calibration)
    masks = [batch["attention_mask"] for batch in batches if "attention_mask" in batch]
    if not batches or (masks and not any(mask.any() for mask in masks)):
        raise FieldError("calibration", "there is no text to calibrate on: give some queries")
    weights = _products(graph)
    ends = channel_ends(graph, list(weights), batches)
    divisors = _divisors(graph, weights, ends)
    vector = [graph.graph.output[0].name]  # an encoder's first output
    texts = sum(map(len, masks)) or len(batches)
    tried = batches[:: max(1, texts // _TRIED)]
    wanted = list(evaluate(graph, vector, tried))
    # Once, not for each range that is tried.
    tables = _Static(graph, {}, {}).run()

    def error(ranges: Ranges) -> float:
        """How far the vectors are from the original's with these activations quantised."""
        made = _Static(tables, ranges, divisors).run()
        pairs = zip(evaluate(made, vector, tried), wanted, strict=True)
        return sum(float(np.square(found[0] - want[0]).sum()) for found, want in pairs)

    best: dict[str, tuple[float, Range]] = {}
    for name, spread in spreads(graph, ends, divisors, batches).items():
        candidates = dict.fromkeys(spread.range(share) for share in _SHARES)
        best[name] = min((error({name: candidate}), candidate) for candidate in candidates)
    ranges: Ranges = {name: found for name, (_, found) in best.items()}
    least = _WORTH * error(ranges)
    by_token = {
        n: None for n, (off, _) in best.items() if off - error({n: None}) > max(least, off / 2)
    }
    return _Static(tables, {**ranges, **by_token}, divisors).run()


def _products(graph: onnx.ModelProto) -> dict[str, list[str]]:
    """The names of the activations that products take, each with those of its weights."""
    rewriter = Rewriter(graph)
    found: dict[str, list[str]] = {}
    for node in graph.graph.node:
        if rewriter.is_product(node):
            found.setdefault(node.input[0], []).append(node.input[1])
    return found


def _divisors(
    graph: onnx.ModelProto,
    weights: Mapping[str, list[str]],
    ends: Mapping[str, tuple[Array, Array]],
) -> Divisors:
    """What each channel (K,) of an activation is divided by, for those that LayerNorm made."""
    constants = {i.name: i for i in graph.graph.initializer}
    divisors = {}
    for node in graph.graph.node:
        name = node.output[0]
        if node.op_type == "LayerNormalization" and name in weights:
            matrices = [numpy_helper.to_array(constants[w]) for w in weights[name]]
            of_weights = np.max([np.abs(m).max(axis=1) for m in matrices], axis=0)
            of_values = np.maximum(-ends[name][0], ends[name][1])
            divisors[name] = (
                np.maximum(of_values, _TINY) ** _ALPHA
                / np.maximum(of_weights, _TINY) ** (1 - _ALPHA)
            ).astype(np.float32)
    return divisors


class _Static(Rewriter):
    """The products of the activations in ``ranges``; those of the others stay as they are."""

    def __init__(self, graph: onnx.ModelProto, ranges: Ranges, divisors: Divisors) -> None:
        super().__init__(graph)
        self.ranges = ranges
        self.divisors = divisors
        self.users: dict[str, list[onnx.NodeProto]] = {}
        for node in self.model.graph.node:
            for name in node.input:
                self.users.setdefault(name, []).append(node)
        self.shown = {output.name for output in self.model.graph.output}
        # A product's output -> its bias and the output of the addition that goes.
        self.biases: dict[str, tuple[str, str]] = {}
        for node in list(self.model.graph.node):
            if self.is_product(node) and ranges[node.input[0]] is not None:
                self._take_bias(node)

    def is_product(self, node: onnx.NodeProto) -> bool:
        return super().is_product(node) and node.input[0] in self.ranges

    def product(self, node: onnx.NodeProto) -> None:
        activation, weight = node.input
        span = self.ranges[activation]
        if span is None:
            super().product(node)
            return
        integers, scale, zero = self._quantised(activation, span)
        matrix = numpy_helper.to_array(self.constants[weight])
        if activation in self.divisors:
            matrix = matrix * self.divisors[activation][:, None]
            weight = f"{weight}_for_{activation}"
        columns, scales = columns_to_int8(matrix)
        inputs = [
            integers,
            self.constant(f"{weight}_int8", columns),
            scale,
            self.constant(f"{weight}_scale", scales),
            zero,
            self.constant(f"int8_zero_{len(scales)}", np.zeros(len(scales), np.int8)),
        ]
        output = node.output[0]
        if output in self.biases:
            bias, output = self.biases[output]
            inputs.append(bias)
        self.node("MatMulIntegerToFloat", inputs, output, domain=RUNTIME_DOMAIN)

    def _quantised(self, name: str, span: Range) -> tuple[str, str, str]:
        """Activation ``name`` as integers, made once for all products, its scale and its zero point."""
        # Zero has to lie within, as its integer stands for it exactly.
        least, largest = min(span[0], 0.0), max(span[1], 0.0)
        scale = np.maximum(np.float32((largest - least) / 255), _TINY)
        zero = np.uint8(np.rint(-least / scale))
        constants = (
            self.constant(f"{name}_range", scale),
            self.constant(f"{name}_zero", zero),
        )
        if name not in self.activations:
            integers = self.node(
                "QuantizeLinear", [self._divided(name), *constants], f"{name}_int8"
            )
            self.activations[name] = (integers, name)
        return self.activations[name][0], *constants

    def _divided(self, name: str) -> str:
        """Activation ``name`` by its divisor, if it has one."""
        if name not in self.divisors:
            return name
        factor = self.constant(f"{name}_factor", 1 / self.divisors[name])
        return self.node("Mul", [name, factor], f"{name}_divided")

    def _take_bias(self, node: onnx.NodeProto) -> None:
        """Leave out the addition of a constant row after product ``node``, and note the row."""
        users = self.users.get(node.output[0], [])
        if len(users) != 1 or users[0].op_type != "Add" or node.output[0] in self.shown:
            return
        row = next(name for name in users[0].input if name != node.output[0])
        columns = self.constants[node.input[1]].dims[1]
        if row in self.constants and list(self.constants[row].dims) == [columns]:
            self.biases[node.output[0]] = row, users[0].output[0]
            self.model.graph.node.remove(users[0])
