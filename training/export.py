"""A pretrained encoder as a folder that a build takes: traced, pooled, made INT8, and checked.

An export that does not compute what the original computes fails and leaves nothing behind.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx

from lurcher.errors import FieldError
from lurcher.models.encoders.config import CONFIG_FILE, TOKENIZER_FILE, EncoderConfig, fingerprint
from lurcher.training.compression.int8 import quantize_int8
from lurcher.training.graph import build_graph
from lurcher.training.original import (
    Pooling,
    Similarity,
    hash_weights,
    load_original,
    locate,
    read_recipe,
)
from lurcher.training.parity import check_parity
from lurcher.training.vocabulary import write_graph

_GRAPH = "encoder.onnx"


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
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as work:
        original = load_original(recipe, max_tokens)
        graph = build_graph(recipe.transformer, recipe, Path(work), lower=True)
        made = Path(work) / "made"
        made.mkdir()
        tokenizer = original.tokenizer.backend_tokenizer
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.save(str(made / TOKENIZER_FILE), pretty=False)
        write_graph(quantize(graph) if int8 else graph, made / _GRAPH)
        dimension = check_parity(original, made / _GRAPH, folder, int8=int8)
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
            lower_states=any(output.name == "lower_states" for output in graph.graph.output),
            fingerprint=fingerprint(
                made, _GRAPH, original.max_tokens, recipe.passage_prompt, recipe.similarity
            ),
        )
        (made / CONFIG_FILE).write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
        made.rename(out)
    return config
