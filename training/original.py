"""The model an export starts from: found, its settings read, loaded, and run in torch.

A folder is in the layout of sentence-transformers::

    modules.json                         Transformer, Pooling and at most a Normalize
    1_Pooling/config.json                mean or cls
    sentence_bert_config.json            max_seq_length
    config_sentence_transformers.json    prompts, similarity_fn_name
    config.json, tokenizer.json, model.safetensors    the transformer, often in the folder itself

or is a transformer alone, as Hugging Face's transformers writes it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from huggingface_hub import snapshot_download
from transformers import AutoModel, AutoTokenizer

from lurcher.errors import FieldError, ModelError, ModelNotFound

Pooling = Literal["mean", "cls"]
Similarity = Literal["cosine", "dot"]
Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Recipe:
    """How the original turns a text into a vector."""

    transformer: Path
    pooling: Pooling = "mean"
    similarity: Similarity = "cosine"
    normalise: bool = False
    max_tokens: int | None = None
    query_prompt: str = ""
    passage_prompt: str = ""


@dataclass(frozen=True)
class Original:
    """The loaded original: weights and tokeniser."""

    recipe: Recipe
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


def locate(model: str | Path) -> Path:
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


def read_recipe(folder: Path, pooling: Pooling | None, similarity: Similarity | None) -> Recipe:
    """What ``folder`` says of pooling, prompts and lengths; the arguments go before."""
    modules = _json(folder / "modules.json")
    if not modules:
        similarity = similarity or "cosine"
        return Recipe(folder, pooling or "mean", similarity, normalise=similarity == "cosine")
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
    return Recipe(
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


def load_original(recipe: Recipe, max_tokens: int | None) -> Original:
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
    return Original(recipe, model, tokenizer, max_tokens or min(usual, positions))


def hash_weights(folder: Path) -> str:
    """``sha256:...`` of the weights files in ``folder``, in name order."""
    files = sorted(folder.glob("model*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    return f"sha256:{digest.hexdigest()}"
