"""Texts to embed, in turns."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lurcher.models.encoders.tokenizer import Tokens
from lurcher.retrieval.embedder import EmbedWork
from lurcher.server.admission.turns import in_turns


@given(st.lists(st.integers(1, 30)), st.integers(1, 40), st.integers(1, 5))
def test_turns_have_all_works_in_order_and_fit(lengths: list[int], tokens: int, most: int) -> None:
    works = [EmbedWork("query", Tokens([0] * length, truncated=False)) for length in lengths]
    turns = in_turns(works, tokens, most)
    assert [work for turn in turns for work in turn] == works
    for turn in turns:
        assert 1 <= len(turn) <= most
        assert len(turn) == 1 or sum(len(work.tokens.ids) for work in turn) <= tokens
    for turn, after in pairwise(turns):  # none is begun before one is full
        length = sum(len(work.tokens.ids) for work in turn)
        assert len(turn) == most or length + len(after[0].tokens.ids) > tokens
