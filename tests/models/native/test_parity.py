"""The native engine beside ONNX Runtime on 20,000 texts of all lengths and scripts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lurcher.models.encoders.merge import merge
from lurcher.models.encoders.tokenizer import Tokenizer
from lurcher.models.engines import Engine
from lurcher.models.engines.native import library
from lurcher.models.engines.native.engine import NativeEngine
from lurcher.models.engines.ort import OnnxRuntimeEngine
from lurcher.models.pretrained import DEFAULT_ENCODER

if library.loaded() is None:
    pytest.skip("no native library was built", allow_module_level=True)

TEXTS = 20_000
LONGEST = 256
BATCH = 32

Array = npt.NDArray[Any]


def drawn(data: Path) -> list[Array]:
    """Texts of many data sets as tokens, cut to lengths drawn between 1 and LONGEST; the shortest first."""
    texts = [
        json.loads(line)["text"]
        for name in ("xquad", "scifact", "nfcorpus", "cosqa")
        for file in ("corpus.jsonl", "queries.jsonl")
        for line in (data / name / file).read_text(encoding="utf-8").splitlines()
    ]
    draw = np.random.default_rng(0)
    tokenizer = Tokenizer(DEFAULT_ENCODER / "tokenizer.json", LONGEST)
    chosen = [texts[i] for i in draw.permutation(len(texts))[:TEXTS]]
    lengths = np.exp(draw.uniform(0, np.log(LONGEST + 1), len(chosen))).astype(np.int64)
    found = [
        np.array(tokens.ids[:length], np.int64)
        for tokens, length in zip(tokenizer(chosen), lengths, strict=True)
    ]
    return sorted(found, key=len)


def batches(texts: list[Array]) -> Iterator[tuple[list[Array], dict[str, Array]]]:
    for first in range(0, len(texts), BATCH):
        some = texts[first : first + BATCH]
        ids = np.zeros((len(some), len(some[-1])), np.int64)
        mask = np.zeros_like(ids)
        for row, text in enumerate(some):
            ids[row, : len(text)], mask[row, : len(text)] = text, 1
        yield some, {"input_ids": ids, "attention_mask": mask}


def compare(native: Engine, other: Engine, texts: list[Array]) -> Array:
    """The cosine of each text's two vectors; of each batch the first text alone has the same bits, too."""
    cosines = []
    for some, inputs in batches(texts):
        (own,), (reference,) = (engine.run(["vector"], inputs) for engine in (native, other))
        cosines.append((own * reference).sum(axis=1))
        ids = some[0][None]
        (alone,) = native.run(["vector"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        np.testing.assert_array_equal(alone[0], own[0])
    return np.concatenate(cosines)


@pytest.mark.nightly
# Constant ranges and few layers leave little room to round otherwise; scales by token and six layers more.
@pytest.mark.parametrize(
    ("student", "least", "middle"), [("fast", 0.999, 0.9999), (None, 0.96, 0.997)]
)
def test_many_texts_get_the_vectors_of_onnx_runtime(
    student: str | None, least: float, middle: float, tmp_path: Path, data: Path
) -> None:
    graph = DEFAULT_ENCODER / "encoder.onnx"
    if student:
        merge(DEFAULT_ENCODER, DEFAULT_ENCODER / "students" / student, tmp_path / "encoder")
        graph = tmp_path / "encoder" / "query.onnx"
    texts = drawn(data)
    cosines = compare(NativeEngine(graph), OnnxRuntimeEngine(graph, 1), texts)
    assert len(cosines) == TEXTS
    print(f"{student}: least {cosines.min():.6f}, median {np.median(cosines):.6f}")
    assert cosines.min() > least
    assert np.median(cosines) > middle
