"""Passages to vectors and codes, by one pass of their encoder: what a build stores, what a request brings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.encoders.encoder import Encoder, Vectors
from models.encoders.tokenizer import Tokens
from models.tokens.coder import Coded, TokenCoder


def encode_passages(
    encoder: Encoder, coder: TokenCoder, share: float, passages: Sequence[Tokens]
) -> tuple[Vectors, list[Coded]]:
    """Vectors (n, d) and codes of ``passages``; of each at most ``share`` of its own tokens is kept."""
    vectors = np.zeros((len(passages), encoder.config.dimension), np.float32)
    coded: dict[int, Coded] = {}

    def code(text: int, vector: Vectors, states: Vectors) -> None:
        vectors[text] = vector
        tokens = passages[text]
        own = encoder.own_tokens(tokens)
        coded[text] = coder.code(states[own], tokens.ids[own], share)

    encoder.visit_states(passages, code)
    return vectors, [coded[text] for text in range(len(passages))]
