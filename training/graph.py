"""A transformer as one ONNX graph: traced, with a head and pooling added.

::

    input_ids, attention_mask   (B, L) int64
      -> token_states           (B, L, d) float32, the last layer, through the head if there is one
      -> lower_states           (B, L, d) float32, of a layer below, if asked for
      -> vector                 (B, d) float32, pooled; unit-norm for a cosine model
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from lurcher.errors import ModelError
from lurcher.training.original import Array, Recipe

# The oldest in which ReduceMax takes its axes as an input, as the INT8 rewriting does.
OPSET = 18
_INPUTS = ("input_ids", "attention_mask")
_LAYER = re.compile(r"\blayers?\.(\d+)/")
# What weights sum to where no token has any; a weight below it a token counts as none.
_LEAST_WEIGHT = np.float32(1e-6)


def build_graph(
    transformer: Path,
    recipe: Recipe,
    work: Path,
    *,
    correction: tuple[Array, Array] | None = None,
    head: tuple[Array, Array] | None = None,
    token_weights: Array | None = None,
    lower: bool = False,
) -> onnx.ModelProto:
    """The float32 graph of the transformers folder ``transformer``, pooled as ``recipe`` says.

    ``correction`` is A (V, r) and B (r, width), whose product is added to the tokens' embeddings, looked
    up by one row of A at a time. ``head`` is a weight (d', d) and a bias (d',), as torch.nn.Linear keeps
    them, applied to the last hidden states. ``token_weights`` (V,), by token id, weigh the tokens of
    mean pooling. With ``lower`` the states after ``lower_layers`` are put out, too, where the traced names
    tell them. ``work`` is a folder for files in between. Raises ModelError where optimum cannot
    trace it, or where tokens are not embedded in exactly one place of its graph.
    """
    with quiet_tracing():
        traced = _trace(transformer, work / "traced")
    finisher = _Finisher(traced)
    if correction is not None:
        finisher.correct(*correction)
    below = boundary(traced.graph) if lower else None
    return finisher.run(recipe, head, token_weights, below)


def lower_layers(layers: int) -> int:
    """After how many of so many layers a reader takes over: two thirds, and not after all of them.

    There the tokens still say what they are and where; the last layers turn them towards the vector that
    they add up to.
    """
    return min(max(1, round(layers * 2 / 3)), layers - 1)


def boundary(graph: onnx.GraphProto) -> str | None:
    """The name of the states (B, L, d) after the lower layers; None where names do not tell it.

    Tracing names a node after the module it is of: ``/encoder/layer.3/attention/...``. The states are the
    one value that is computed in the last of the lower layers and used in the next.
    """
    numbers = [_LAYER.search(node.name) for node in graph.node]
    layer_of = [None if found is None else int(found[1]) for found in numbers]
    layers = 1 + max((number for number in layer_of if number is not None), default=0)
    last = lower_layers(layers) - 1
    if last < 0:
        return None
    made, used = set(), set()
    for node, number in zip(graph.node, layer_of, strict=True):
        if number == last and node.op_type != "Constant":
            made.update(node.output)
        elif number == last + 1:
            used.update(node.input)
    between = made & used
    return between.pop() if len(between) == 1 else None


@contextmanager
def quiet_tracing() -> Iterator[None]:
    """Hides what tracing warns of by design, and nothing else."""
    with warnings.catch_warnings():
        # optimum 0.1 traces; the torch.export path it would have to take instead is not there.
        legacy = "You are using the legacy TorchScript-based ONNX export"
        warnings.filterwarnings("ignore", legacy, DeprecationWarning)
        warnings.filterwarnings(
            "ignore", "The feature will be removed", DeprecationWarning, r"torch\.onnx"
        )
        # Python values that the trace fixes: the parity check runs other shapes than were traced.
        jit: Any = torch.jit  # its types leave the warning out
        warnings.filterwarnings("ignore", category=jit.TracerWarning)
        yield


def _trace(folder: Path, work: Path) -> onnx.ModelProto:
    """The transformer as optimum traces it."""
    # Imported here because optimum takes seconds, and a wrong argument should be heard of first.
    from optimum.exporters.onnx import main_export

    try:
        main_export(
            str(folder),
            output=work,
            task="feature-extraction",
            library_name="transformers",
            opset=OPSET,
            local_files_only=True,
            do_validation=False,  # check_parity does, with more texts
        )
        graph = onnx.load(work / "model.onnx")
    # Optimum raises these for an architecture it does not know; two graphs make no model.onnx.
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        raise ModelError(f"{folder}: optimum cannot export it: {error}") from error
    inputs = {i.name for i in graph.graph.input}
    if extra := inputs - {*_INPUTS, "token_type_ids"}:
        raise ModelError(f"{folder}: not a text encoder; it also wants {', '.join(sorted(extra))}")
    return graph


class _Finisher:
    """What is added to one traced graph."""

    def __init__(self, traced: onnx.ModelProto) -> None:
        self.traced = traced
        self.graph = traced.graph
        self.after: list[onnx.NodeProto] = []

    def run(
        self, recipe: Recipe, head: tuple[Array, Array] | None, token_weights: Array | None,
        below: str | None,
    ) -> onnx.ModelProto:  # fmt: skip
        """The graph with token types made inside, and head, pooling and normalising added."""
        last = self.graph.output[0].name
        if head is None:
            states = self.add("Identity", [last], "token_states")  # (B, L, d)
        else:
            # MatMul wants the columns to be the outputs.
            weight = self.constant("head_weight", np.ascontiguousarray(head[0].T))
            product = self.add("MatMul", [last, weight], "head_product")
            states = self.add("Add", [product, self.constant("head_bias", head[1])], "token_states")
        self.pool(states, recipe, token_weights, "pooled" if recipe.normalise else "vector")
        if recipe.normalise:
            axis = self.constant("last_axis", np.array([-1]))
            norm = self.add("ReduceL2", ["pooled", axis], "norm", keepdims=1)
            least = self.constant("least_norm", np.float32(1e-12))
            norm = self.add("Max", [norm, least], "safe_norm")
            self.add("Div", ["pooled", norm], "vector")
        int64, float32 = onnx.TensorProto.INT64, onnx.TensorProto.FLOAT
        # A graph without layers was traced without a mask; pooling reads it all the same.
        inputs = [helper.make_tensor_value_info(n, int64, ["batch", "tokens"]) for n in _INPUTS]
        outputs = [
            helper.make_tensor_value_info("vector", float32, ["batch", None]),
            helper.make_tensor_value_info("token_states", float32, ["batch", "tokens", None]),
        ]
        if below is not None:
            self.add("Identity", [below], "lower_states")
            shape = ["batch", "tokens", None]
            outputs.append(helper.make_tensor_value_info("lower_states", float32, shape))
        nodes = [*self.before(), *self.graph.node, *self.after]
        finished = helper.make_graph(nodes, "encoder", inputs, outputs, self.graph.initializer)
        return helper.make_model(
            finished, opset_imports=self.traced.opset_import, ir_version=self.traced.ir_version
        )

    def correct(self, codes: Array, directions: Array) -> None:
        """Add to each token's embedding its row of ``codes`` (V, r) times ``directions`` (r, width)."""
        lookups = [
            place
            for place, node in enumerate(self.graph.node)
            if node.op_type == "Gather" and node.input[1] == "input_ids"
        ]
        if len(lookups) != 1:
            raise ModelError(f"tokens are embedded in {len(lookups)} places of the graph, not one")
        lookup = self.graph.node[lookups[0]]
        embedded = lookup.output[0]
        lookup.output[0] = "vocabulary_embedding"
        table, matrix = self.constant("codes", codes), self.constant("directions", directions)
        added = [
            helper.make_node("Gather", [table, "input_ids"], ["code"]),
            helper.make_node("MatMul", ["code", matrix], ["correction"]),
            helper.make_node("Add", ["vocabulary_embedding", "correction"], [embedded]),
        ]
        for offset, node in enumerate(added, 1):
            self.graph.node.insert(lookups[0] + offset, node)

    def before(self) -> list[onnx.NodeProto]:
        """Token types of zero, where the traced graph wants any."""
        if all(i.name != "token_type_ids" for i in self.graph.input):
            return []
        zero = helper.make_tensor("value", onnx.TensorProto.INT64, [1], [0])
        return [
            helper.make_node("Shape", ["input_ids"], ["ids_shape"]),
            helper.make_node("ConstantOfShape", ["ids_shape"], ["token_type_ids"], value=zero),
        ]

    def pool(self, states: str, recipe: Recipe, token_weights: Array | None, output: str) -> None:
        """``output`` (B, d): the first of ``states`` (B, L, d), or their mean under the mask."""
        if recipe.pooling == "cls":
            self.add("Gather", [states, self.constant("first_token", np.int64(0))], output, axis=1)
            return
        mask = self.add("Cast", ["attention_mask"], "mask", to=onnx.TensorProto.FLOAT)  # (B, L)
        # A text can be no token at all where the tokeniser adds no special ones.
        least = np.float32(1)
        if token_weights is not None:
            table = self.constant("token_weights", token_weights)
            weights = self.add("Gather", [table, "input_ids"], "weights")
            mask = self.add("Mul", [mask, weights], "weighted_mask")
            least = _LEAST_WEIGHT
        column = self.add(
            "Unsqueeze", [mask, self.constant("axis_2", np.array([2]))], "mask_column"
        )
        kept = self.add("Mul", [states, column], "kept_states")
        tokens_axis = self.constant("axis_1", np.array([1]))
        total = self.add("ReduceSum", [kept, tokens_axis], "states_sum", keepdims=0)  # (B, d)
        count = self.add("ReduceSum", [column, tokens_axis], "token_count", keepdims=0)  # (B, 1)
        count = self.add("Max", [count, self.constant("least_count", least)], "divisor")
        self.add("Div", [total, count], output)

    def add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """``output``, made by a new node."""
        self.after.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def constant(self, name: str, value: Any) -> str:
        """``name``, with ``value`` under it."""
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name
