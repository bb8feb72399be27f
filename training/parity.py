"""Whether an exported graph computes what the original computes, on texts chosen to be awkward."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from lurcher.errors import ParityError
from lurcher.models.encoders.config import TOKENIZER_FILE
from lurcher.models.encoders.tokenizer import Tokenizer, pad
from lurcher.models.engines.ort import OnnxRuntimeEngine
from lurcher.training.original import Array

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


class Reference(Protocol):
    """What a graph was made from, as torch computes it: training.original.Original, or a student."""

    @property
    def max_tokens(self) -> int:
        """Where texts are cut, special tokens included."""

    def tokenise(self, text: str) -> list[int]:
        """The token ids of ``text``, cut."""

    def encode(self, ids: list[int]) -> tuple[Array, Array]:
        """The vector (d,) and token states (L, d) of one text, without padding."""


def check_parity(original: Reference, graph: Path, name: str | Path, *, int8: bool) -> int:
    """The dimension of the vectors, if ``graph`` agrees with the original, ``name`` in errors.

    Runs what a server will run: the tokeniser beside it, the server's padding and engine. Raises
    ParityError.
    """
    engine = OnnxRuntimeEngine(graph, threads=1)
    texts = [*_TEXTS, "Words" + _LONG * original.max_tokens]
    tokenise = Tokenizer(graph.with_name(TOKENIZER_FILE), original.max_tokens)
    batch = [list(t.ids) for t in tokenise(texts)]

    def run(ids: list[list[int]]) -> tuple[Array, Array]:
        input_ids, mask = pad(ids)
        inputs = {"input_ids": input_ids, "attention_mask": mask}
        vectors, states = engine.run(["vector", "token_states"], inputs)
        return vectors, states

    def hold(what: str, text: str, found: float, limit: float) -> None:
        # Written so that NaN fails.
        if not found <= limit:
            raise ParityError(
                f"{name}: the exported graph computes something else: "
                f"{what} of {text[:40]!r} is off by {found:.2g}, more than {limit:g}"
            )

    vectors, states = run(batch)
    for row, (text, ids) in enumerate(zip(texts, batch, strict=True)):
        if (wanted := original.tokenise(text)) != ids:
            raise ParityError(f"{name}: {text[:40]!r} has tokens {ids[:9]}, not {wanted[:9]}")
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
