"""Passages to vectors and what is kept of their tokens, by one pass of their encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from lurcher.models.encoders.encoder import TOKEN_STATES, VECTOR, Encoder, Vectors
from lurcher.models.encoders.tokenizer import Tokens
from lurcher.models.tokens.clustering import Integers
from lurcher.models.tokens.coder import TokenCoder

Kept = TypeVar("Kept")


def telling_tokens(encoder: Encoder, coder: TokenCoder, text: Tokens) -> tuple[Integers, Integers]:
    """Which of the own tokens of ``text`` have codes in a reading store, and their ids, (n,) int64 both."""
    ids = np.asarray(text.ids[encoder.own_tokens(text)], np.int64)
    places = coder.telling(ids)
    return places, ids[places]


def encode_passages(
    encoder: Encoder, passages: Sequence[Tokens], keep: Callable[..., Kept],
    states: Sequence[str] = (TOKEN_STATES,),
) -> tuple[Vectors, list[Kept]]:  # fmt: skip
    """Vectors (n, d) of ``passages``, and what ``keep`` makes of each one's own tokens.

    It is shown their ids and then each of ``states`` (L, d), is called from several threads, and what it
    is shown is gone afterwards.
    """
    vectors = np.zeros((len(passages), encoder.config.dimension), np.float32)
    kept: dict[int, Kept] = {}

    def visit(text: int, found: Sequence[Vectors]) -> None:
        vectors[text] = found[0]
        own = encoder.own_tokens(passages[text])
        kept[text] = keep(passages[text].ids[own], *(one[own] for one in found[1:]))

    encoder.visit(passages, [VECTOR, *states], visit)
    return vectors, [kept[text] for text in range(len(passages))]
