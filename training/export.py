"""A pretrained encoder as one ONNX graph: traced, pooled, made INT8, and checked.

::

    input_ids, attention_mask   (B, L) int64
      -> token_states           (B, L, d) float32, the last layer
      -> vector                 (B, d) float32, pooled; unit-norm for a cosine model

An export that does not compute what the original computes fails and leaves nothing behind.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from google.protobuf.message import EncodeError
from onnx import helper, numpy_helper

from models.encoders.config import CONFIG_FILE, TOKENIZER_FILE, EncoderConfig, fingerprint
from models.errors import FieldError, ModelError
from training.compression.int8 import quantize_int8
from training.original import (
    Pooling,
    Recipe,
    Similarity,
    hash_weights,
    load_original,
    locate,
    read_recipe,
)
from training.parity import check_parity

_GRAPH = "encoder.onnx"
# The oldest in which ReduceMax takes its axes as an input, as the INT8 rewriting does.
_OPSET = 18


def export_encoder(
    model: str | Path,
    out: Path,
    *,
    name: str | None = None,
    int8: bool = True,
    pooling: Pooling | None = None,
    similarity: Similarity | None = None,
    query_prompt: str | None = None,
    passage_prompt: str | None = None,
    max_tokens: int | None = None,
    quantize: Callable[[onnx.ModelProto], onnx.ModelProto] = quantize_int8,
) -> EncoderConfig:
    """The configuration of the encoder written to ``out``, a new folder.

    ``model`` is a folder, in the layout of sentence-transformers or of transformers, or a hub
    name. What is None is read from the model; a plain transformers folder is taken for mean
    pooling and cosine similarity. Raises FieldError, ModelNotFound, ModelError and ParityError.
    """
    if out.exists():
        raise FieldError("out", f"{out} exists already; name a new folder or remove it first")
    folder = locate(model)
    recipe = read_recipe(folder, pooling, similarity)
    if query_prompt is not None:
        recipe = replace(recipe, query_prompt=query_prompt)
    if passage_prompt is not None:
        recipe = replace(recipe, passage_prompt=passage_prompt)
    out.parent.mkdir(parents=True, exist_ok=True)
    # Beside ``out``, so that the last step is a rename within one file system.
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as work, _quiet():
        original = load_original(recipe, max_tokens)
        graph = _finish(_trace(recipe.transformer, Path(work) / "traced"), recipe)
        made = Path(work) / "made"
        made.mkdir()
        tokenizer = original.tokenizer.backend_tokenizer
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.save(str(made / TOKENIZER_FILE), pretty=False)
        graph = quantize(graph) if int8 else graph
        (made / _GRAPH).write_bytes(_serialise(graph, folder))
        dimension = check_parity(original, made / _GRAPH, int8=int8)
        config = EncoderConfig(
            name=name or (Path(model).resolve().name if Path(model).is_dir() else str(model)),
            architecture=original.model.config.model_type,
            dimension=dimension,
            max_tokens=original.max_tokens,
            pooling=recipe.pooling,
            similarity=recipe.similarity,
            query_prompt=recipe.query_prompt,
            passage_prompt=recipe.passage_prompt,
            precision="int8" if int8 else "fp32",
            source=hash_weights(recipe.transformer),
            fingerprint=fingerprint(
                made, _GRAPH, original.max_tokens, recipe.passage_prompt, recipe.similarity
            ),
        )
        (made / CONFIG_FILE).write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
        made.rename(out)
    return config


@contextmanager
def _quiet() -> Iterator[None]:
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
            opset=_OPSET,
            local_files_only=True,
            do_validation=False,  # check_parity does, with more texts
        )
        graph = onnx.load(work / "model.onnx")
    # Optimum raises these for an architecture it does not know; two graphs make no model.onnx.
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        raise ModelError(f"{folder}: optimum cannot export it: {error}") from error
    inputs = {i.name for i in graph.graph.input}
    if extra := inputs - {"input_ids", "attention_mask", "token_type_ids"}:
        raise ModelError(f"{folder}: not a text encoder; it also wants {', '.join(sorted(extra))}")
    return graph


def _finish(traced: onnx.ModelProto, recipe: Recipe) -> onnx.ModelProto:
    """``traced`` with token types made inside, and pooling and normalising added."""
    graph = traced.graph
    before: list[onnx.NodeProto] = []
    if any(i.name == "token_type_ids" for i in graph.input):
        zero = helper.make_tensor("value", onnx.TensorProto.INT64, [1], [0])
        before = [
            helper.make_node("Shape", ["input_ids"], ["ids_shape"]),
            helper.make_node("ConstantOfShape", ["ids_shape"], ["token_type_ids"], value=zero),
        ]
    after: list[onnx.NodeProto] = []

    def add(op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        after.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def constant(name: str, value: Any) -> str:
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    states = add("Identity", [graph.output[0].name], "token_states")  # (B, L, d)
    pooled = "pooled" if recipe.normalise else "vector"
    if recipe.pooling == "cls":
        add("Gather", [states, constant("first_token", np.int64(0))], pooled, axis=1)  # (B, d)
    else:
        mask = add("Cast", ["attention_mask"], "mask", to=onnx.TensorProto.FLOAT)  # (B, L)
        column = add("Unsqueeze", [mask, constant("axis_2", np.array([2]))], "mask_column")
        kept = add("Mul", [states, column], "kept_states")
        tokens_axis = constant("axis_1", np.array([1]))
        total = add("ReduceSum", [kept, tokens_axis], "states_sum", keepdims=0)  # (B, d)
        count = add("ReduceSum", [column, tokens_axis], "token_count", keepdims=0)  # (B, 1)
        # A text can be no token at all where the tokeniser adds no special ones.
        count = add("Max", [count, constant("least_count", np.float32(1))], "divisor")
        add("Div", [total, count], pooled)
    if recipe.normalise:
        norm = add("ReduceL2", [pooled, constant("last_axis", np.array([-1]))], "norm", keepdims=1)
        norm = add("Max", [norm, constant("least_norm", np.float32(1e-12))], "safe_norm")
        add("Div", [pooled, norm], "vector")
    nodes = [*before, *graph.node, *after]
    inputs = [i for i in graph.input if i.name != "token_type_ids"]
    float32 = onnx.TensorProto.FLOAT
    outputs = [
        helper.make_tensor_value_info("vector", float32, ["batch", None]),
        helper.make_tensor_value_info("token_states", float32, ["batch", "tokens", None]),
    ]
    finished = helper.make_graph(nodes, "encoder", inputs, outputs, graph.initializer)
    return helper.make_model(
        finished, opset_imports=traced.opset_import, ir_version=traced.ir_version
    )


def _serialise(graph: onnx.ModelProto, folder: Path) -> bytes:
    """``graph`` as a file's bytes; ``folder`` is for the error."""
    try:
        serialised: bytes = graph.SerializeToString()
    # All that protobuf says is that it failed, and its size is the only reason there is.
    except EncodeError as error:
        raise ModelError(
            f"{folder}: its graph is above 2 GB, the most that fits into one ONNX file; "
            "INT8 takes about a quarter of what fp32 takes"
        ) from error
    return serialised
