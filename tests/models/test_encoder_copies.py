"""Texts that occur more than once are read once, by themselves: all of them get the same, to the last bit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lurcher.models.encoders.encoder import Encoder, Vectors
from tests.tiny import TINY

ENCODER = Encoder.load(TINY, "passage", 1)
TEXTS = ["a cat", "the office is closed", "bread", "glaciers carve valleys " * 9, ""]


@given(
    st.lists(st.sampled_from(TEXTS), min_size=1, max_size=12),
    st.lists(st.sampled_from(TEXTS), max_size=12),
)
def test_what_a_copy_gets_depends_on_no_other_text(some: list[str], more: list[str]) -> None:
    tokens, others = ENCODER.tokenise(some), ENCODER.tokenise(more)
    alone = range(len(some))
    found = np.zeros((len(some) + len(more), ENCODER.config.dimension), np.float32)

    def visit(batch: list[int], vectors: Sequence[Vectors]) -> None:
        found[batch] = vectors[0]

    ENCODER.visit_batches(tokens + others, ["vector"], visit, alone)
    for text, vector in zip(some, found[: len(some)], strict=True):
        (own,) = ENCODER.encode([text])
        assert vector.tobytes() == own.tobytes()


@given(st.lists(st.sampled_from(TEXTS), max_size=20), st.sets(st.integers(0, 19), max_size=6))
def test_every_text_is_shown_once(texts: list[str], alone: set[int]) -> None:
    tokens = ENCODER.tokenise(texts)
    shown: list[int] = []
    read: list[int] = []

    def visit(batch: list[int], found: Sequence[Vectors]) -> None:
        shown.extend(batch)
        read.append(len(found[0]))
        for text, vector in zip(batch, found[0], strict=True):
            np.testing.assert_allclose(vector, ENCODER.encode([texts[text]])[0], atol=2e-3)

    ENCODER.visit_batches(tokens, ["vector"], visit, alone)
    assert sorted(shown) == list(range(len(texts)))
    assert sum(read) == len(texts)
