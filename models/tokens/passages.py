"""Passages to vectors and what is kept of their tokens, by one pass of their encoder."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

import numpy as np

from lurcher.models.encoders.encoder import TOKEN_STATES, VECTOR, Encoder, Vectors
from lurcher.models.encoders.tokenizer import Tokens
from lurcher.models.tokens.clustering import Integers
from lurcher.models.tokens.coder import TokenCoder

Kept = TypeVar("Kept")


def informative_tokens(
    encoder: Encoder, coder: TokenCoder, texts: Sequence[Tokens]
) -> list[tuple[Integers, Integers]]:
    """For each of ``texts`` the positions of its own tokens that a reading store has codes of, and their ids.

    Both are (n,) int64.
    """
    owns = encoder.own_slices(texts)
    ids = [np.asarray(text.ids[own], np.int64) for text, own in zip(texts, owns, strict=True)]
    positions = coder.informative_batch(ids)
    return [(found, own[found]) for found, own in zip(positions, ids, strict=True)]


def encode_passages(
    encoder: Encoder, passages: Sequence[Tokens], keep: Callable[..., Sequence[Kept]],
    states: Sequence[str] = (TOKEN_STATES,), alone: Collection[int] = (),
) -> tuple[Vectors, list[Kept]]:  # fmt: skip
    """Vectors (n, d) of ``passages``, and what ``keep`` makes of each one's own tokens.

    ``keep`` is called once per batch of the encoder, from several threads. Its arguments are the ids (L,) of
    each passage of the batch, then for each of ``states`` every passage's (L, d); they are gone afterwards.
    It returns what to keep of each passage. Those numbered in ``alone`` are batches of one.
    """
    vectors = np.zeros((len(passages), encoder.config.dimension), np.float32)
    kept: dict[int, Kept] = {}
    owns = encoder.own_slices(passages)

    def visit(batch: list[int], found: Sequence[Vectors]) -> None:
        vectors[batch] = found[0]
        ids = [passages[i].ids[owns[i]] for i in batch]
        own = ([one[row, owns[i]] for row, i in enumerate(batch)] for one in found[1:])
        kept.update(zip(batch, keep(ids, *own), strict=True))

    encoder.visit_batches(passages, [VECTOR, *states], visit, alone)
    return vectors, [kept[i] for i in range(len(passages))]
