"""A pretrained encoder as one ONNX graph: traced, pooled, made INT8, and checked.

::

    input_ids, attention_mask   (B, L) int64
      -> token_states           (B, L, d) float32, the last layer
      -> vector                 (B, d) float32, pooled; unit-norm for a cosine model

An export that does not compute what the original computes fails and leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import onnx
import torch
from huggingface_hub import snapshot_download
from onnx import helper, numpy_helper
from transformers import AutoModel, AutoTokenizer

from models.encoders.config import CONFIG_FILE, TOKENIZER_FILE, EncoderConfig, fingerprint
from models.encoders.tokenizer import Tokenizer, pad
from models.engines.ort import OnnxRuntimeEngine
from models.errors import FieldError, ModelError, ModelNotFound, ParityError
from training.compression.int8 import quantize_int8

Pooling = Literal["mean", "cls"]
Similarity = Literal["cosine", "dot"]
Array = npt.NDArray[np.float32]

_GRAPH = "encoder.onnx"
# The oldest in which ReduceMax takes its axes as an input, as the INT8 rewriting does.
_OPSET = 18

# fp32 differs only by the order of sums. Measured on all-MiniLM-L6-v2: 3e-7 and 4e-6.
_FP32_VECTOR = 1e-4
_FP32_STATES = 1e-3
# |a - b| / |b| is .245 where unit vectors have cosine .97. Measured on all-MiniLM-L6-v2: .978 for
# the empty text, from .988 up for all others; a wrong scale or a dropped term falls far below.
_INT8_VECTOR = 0.245
# The same for cosine .9999: per-token scales make a text's vector independent of its batch.
_ALONE = 0.0142

_TEXTS = (
    "",
    "a",
    "water",
    "?!... -- ()",
    "How do lithium batteries age?",
    "the the the the the the the the",
    "Insulin lowers the concentration of glucose in the blood.",
    "naïve café, Ångström, 12.5 µm, x² + y² = z²",
    "Почему небо голубое?",
    "数据库索引如何加快查询速度?",
    "ما هي عاصمة الأردن؟",
    "🐕 fetch 🦴",
    "def f(x): return {k: v for k, v in x.items() if v is not None}",
    "https://example.org/a/b?c=d&e=%20f#g",
    "A lurcher is the offspring of a sighthound crossed with a working dog. " * 6,
)
# Repeated until it is longer than the model reads.
_LONG = " beyond the limit of every model"


@dataclass(frozen=True)
class _Recipe:
    """How the original turns a text into a vector."""

    transformer: Path
    pooling: Pooling = "mean"
    similarity: Similarity = "cosine"
    normalise: bool = False
    max_tokens: int | None = None
    query_prompt: str = ""
    passage_prompt: str = ""


@dataclass(frozen=True)
class _Original:
    """The loaded original: weights and tokeniser."""

    recipe: _Recipe
    model: Any
    tokenizer: Any
    max_tokens: int

    def tokenise(self, text: str) -> list[int]:
        """The token ids of ``text``, cut to what the model reads."""
        ids: list[int] = self.tokenizer(text, truncation=True, max_length=self.max_tokens).input_ids
        return ids

    def encode(self, ids: list[int]) -> tuple[Array, Array]:
        """The vector (d,) and token states (L, d) of one text, without padding."""
        row = torch.tensor([ids])
        with torch.inference_mode():
            # No padding, so pooling needs no mask: a reference apart from the graph's own pooling.
            states = self.model(row, attention_mask=torch.ones_like(row)).last_hidden_state[0]
            vector = states[0] if self.recipe.pooling == "cls" else states.mean(dim=0)
            if self.recipe.normalise:
                vector = torch.nn.functional.normalize(vector, dim=0)
        return vector.numpy(), states.numpy()


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
    folder = _locate(model)
    recipe = _read_recipe(folder, pooling, similarity)
    if query_prompt is not None:
        recipe = replace(recipe, query_prompt=query_prompt)
    if passage_prompt is not None:
        recipe = replace(recipe, passage_prompt=passage_prompt)
    out.parent.mkdir(parents=True, exist_ok=True)
    # Beside ``out``, so that the last step is a rename within one file system.
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as work, _quiet():
        original = _load(recipe, max_tokens)
        graph = _finish(_trace(recipe.transformer, Path(work) / "traced"), recipe)
        made = Path(work) / "made"
        made.mkdir()
        tokenizer = original.tokenizer.backend_tokenizer
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.save(str(made / TOKENIZER_FILE), pretty=False)
        (made / _GRAPH).write_bytes((quantize(graph) if int8 else graph).SerializeToString())
        dimension = _check(original, made, int8)
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
            source=_hash_weights(recipe.transformer),
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


def _locate(model: str | Path) -> Path:
    """The folder of ``model``, downloaded first if it is a hub name."""
    if Path(model).is_dir():
        return Path(model)

    def download(*patterns: str) -> Path:
        # A short wait, so that a machine without a network hears of it in seconds.
        return Path(
            snapshot_download(
                str(model),
                allow_patterns=list(patterns),
                ignore_patterns=["onnx/*", "openvino/*"],
                etag_timeout=5,
            )
        )

    try:
        folder = download("*.json", "*.txt", "*.model", "*.safetensors")
        if not any(folder.rglob("*.safetensors")):
            download("pytorch_model*.bin")
    # Not a hub name, no network, not cached, no such repository: OSErrors and ValueErrors all.
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ModelNotFound(
            f"no model {model}; tried: folder {model} does not exist; hub name {model}: {reason} "
            f"On a machine with a network run `huggingface-cli download {model} --local-dir DIR`, "
            "then pass DIR"
        ) from error
    return folder


def _json(file: Path) -> Any:
    """What ``file`` holds, {} where there is no file."""
    try:
        return json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ModelError(f"{file}: not JSON: {error}") from error


def _read_recipe(folder: Path, pooling: Pooling | None, similarity: Similarity | None) -> _Recipe:
    """What ``folder`` says of pooling, prompts and lengths; the arguments go before."""
    modules = _json(folder / "modules.json")
    if not modules:
        similarity = similarity or "cosine"
        return _Recipe(folder, pooling or "mean", similarity, normalise=similarity == "cosine")
    kinds = [module["type"].rpartition(".")[2] for module in modules]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise ModelError(
            f"{folder}: modules {', '.join(kinds)} are not supported, only Transformer, Pooling "
            "and at most a Normalize after them"
        )
    transformer = folder / modules[0]["path"]
    limits = _json(transformer / "sentence_bert_config.json")
    if limits.get("do_lower_case"):
        raise ModelError(f"{folder}: do_lower_case is not supported; set it in the tokenizer")
    settings = _json(folder / "config_sentence_transformers.json")
    prompts = settings.get("prompts") or {}
    similarity = similarity or settings.get("similarity_fn_name") or "cosine"
    if similarity not in get_args(Similarity):
        raise ModelError(
            f"{folder}: similarity {similarity} is not supported; pass one of "
            f"{', '.join(get_args(Similarity))}"
        )
    return _Recipe(
        transformer,
        pooling or _read_pooling(folder / modules[1]["path"] / "config.json"),
        similarity,
        normalise=similarity == "cosine" or "Normalize" in kinds,
        max_tokens=limits.get("max_seq_length"),
        query_prompt=prompts.get("query") or "",
        passage_prompt=prompts.get("passage") or prompts.get("document") or "",
    )


def _read_pooling(file: Path) -> Pooling:
    """The one pooling mode in ``file``, written in the older form or in the newer."""
    config = _json(file)
    short = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}
    modes = config.get("pooling_mode") or [
        short.get(key, key) for key, on in config.items() if key.startswith("pooling_mode_") and on
    ]
    modes = [modes] if isinstance(modes, str) else modes
    if config.get("include_prompt") is False:
        modes = [*modes, "include_prompt: false"]
    if modes == ["cls"]:
        return "cls"
    if modes == ["mean"]:
        return "mean"
    raise ModelError(
        f"{file}: pooling {', '.join(modes) or 'none'} is not supported, only one of mean, cls"
    )


def _load(recipe: _Recipe, max_tokens: int | None) -> _Original:
    """The original, from weights and code that cannot run anything of their own."""
    folder = recipe.transformer
    try:
        # transformers reads safetensors, or .bin files with weights_only=True.
        local = {"local_files_only": True, "trust_remote_code": False}
        load_tokenizer: Any = AutoTokenizer.from_pretrained  # without types in transformers
        tokenizer = load_tokenizer(folder, use_fast=True, **local)
        model = AutoModel.from_pretrained(folder, dtype=torch.float32, **local).eval()
    # transformers raises these for what it does not know, cannot find or cannot read.
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise ModelError(f"{folder}: transformers cannot load it: {error}") from error
    if not tokenizer.is_fast:
        raise ModelError(f"{folder}: has no fast tokenizer, and only that can be shipped")
    positions = getattr(model.config, "max_position_embeddings", None) or tokenizer.model_max_length
    # RoBERTa and MPNet count positions from the padding id on.
    skipped = getattr(getattr(model, "embeddings", None), "padding_idx", None)
    positions -= 0 if skipped is None else skipped + 1
    least = tokenizer.num_special_tokens_to_add() + 1
    if max_tokens is not None and not least <= max_tokens <= positions:
        raise FieldError("max_tokens", f"{max_tokens} is not between {least} and {positions}")
    usual = recipe.max_tokens or min(512, tokenizer.model_max_length)
    return _Original(recipe, model, tokenizer, max_tokens or min(usual, positions))


def _hash_weights(folder: Path) -> str:
    """``sha256:...`` of the weights files in ``folder``, in name order."""
    files = sorted(folder.glob("model*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    return f"sha256:{digest.hexdigest()}"


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
            do_validation=False,  # _check below does, with more texts
        )
        graph = onnx.load(work / "model.onnx")
    # Optimum raises these for an architecture it does not know; two graphs make no model.onnx.
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        raise ModelError(f"{folder}: optimum cannot export it: {error}") from error
    inputs = {i.name for i in graph.graph.input}
    if extra := inputs - {"input_ids", "attention_mask", "token_type_ids"}:
        raise ModelError(f"{folder}: not a text encoder; it also wants {', '.join(sorted(extra))}")
    return graph


def _finish(traced: onnx.ModelProto, recipe: _Recipe) -> onnx.ModelProto:
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


def _check(original: _Original, made: Path, int8: bool) -> int:
    """The dimension of the vectors, if the graph in ``made`` agrees with the original.

    Runs what a server will run: the written tokeniser, the server's padding and engine.
    """
    folder = original.recipe.transformer
    engine = OnnxRuntimeEngine(made / _GRAPH, threads=1)
    texts = [*_TEXTS, "Words" + _LONG * original.max_tokens]
    batch = [list(t.ids) for t in Tokenizer(made / TOKENIZER_FILE, original.max_tokens)(texts)]

    def run(ids: list[list[int]]) -> tuple[Array, Array]:
        input_ids, mask = pad(ids)
        inputs = {"input_ids": input_ids, "attention_mask": mask}
        vectors, states = engine.run(["vector", "token_states"], inputs)
        return vectors, states

    def hold(what: str, text: str, found: float, limit: float) -> None:
        # Written so that NaN fails.
        if not found <= limit:
            raise ParityError(
                f"{folder}: the exported graph computes something else: "
                f"{what} of {text[:40]!r} is off by {found:.2g}, more than {limit:g}"
            )

    vectors, states = run(batch)
    for row, (text, ids) in enumerate(zip(texts, batch, strict=True)):
        if (wanted := original.tokenise(text)) != ids:
            raise ParityError(f"{folder}: {text[:40]!r} has tokens {ids[:9]}, not {wanted[:9]}")
        vector, token_states = original.encode(ids)
        if int8:
            hold("the vector", text, _distance(vectors[row], vector), _INT8_VECTOR)
        else:
            hold("the vector", text, _difference(vectors[row], vector), _FP32_VECTOR)
            off = _difference(states[row, : len(ids)], token_states)
            hold("a token state", text, off, _FP32_STATES)
        alone, _ = run([ids])
        hold("the vector in a batch", text, _distance(vectors[row], alone[0]), _ALONE)
    return int(vectors.shape[1])


def _difference(a: Array, b: Array) -> float:
    """The largest |a - b|, in units of the largest |b| where that is above 1."""
    return float(np.abs(a - b).max() / max(1.0, np.abs(b).max()))


def _distance(a: Array, b: Array) -> float:
    """|a - b| / |b|: for unit vectors the square root of 2 - 2 cosine."""
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))
