"""Passages to vectors and what is kept of their tokens, by one pass of their encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from models.encoders.encoder import Encoder, Vectors
from models.encoders.tokenizer import Tokens

Kept = TypeVar("Kept")


def encode_passages(
    encoder: Encoder, passages: Sequence[Tokens], keep: Callable[[Vectors, Sequence[int]], Kept]
) -> tuple[Vectors, list[Kept]]:
    """Vectors (n, d) of ``passages``, and what ``keep`` makes of each one's own states (L, d) and ids.

    It is called from several threads, and what it is shown is gone afterwards.
    """
    vectors = np.zeros((len(passages), encoder.config.dimension), np.float32)
    kept: dict[int, Kept] = {}

    def visit(text: int, vector: Vectors, states: Vectors) -> None:
        vectors[text] = vector
        own = encoder.own_tokens(passages[text])
        kept[text] = keep(states[own], passages[text].ids[own])

    encoder.visit_states(passages, visit)
    return vectors, [kept[text] for text in range(len(passages))]
