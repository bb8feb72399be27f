"""Texts that are nearly the same, by MinHash."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.index_builder.near_duplicates import first_alike

WORDS = [f"word{i}" for i in range(500)]


def prose(seed: int, words: int = 100) -> list[str]:
    return random.Random(seed).choices(WORDS, k=words)


def test_equal_texts_are_alike_whatever_their_case_blanks_and_marks() -> None:
    texts = [
        "Closed on public holidays.",
        "something else",
        "closed  on\npublic HOLIDAYS!",
        "Closed",
    ]
    assert first_alike(texts).tolist() == [0, 1, 0, 3]


def test_one_changed_word_in_a_hundred_is_nearly_the_same_and_twenty_are_not() -> None:
    first = prose(1)
    nearly, unlike = list(first), list(first)
    nearly[50] = "changed"
    unlike[::5] = ["changed"] * 20
    found = first_alike([" ".join(words) for words in (first, nearly, unlike)])
    assert found.tolist() == [0, 0, 2]


@pytest.mark.parametrize("text", ["", "  ", "…", "---"])
def test_a_text_without_words_is_like_no_other(text: str) -> None:
    assert first_alike([text, text, "a"]).tolist() == [0, 1, 2]


def test_scripts_without_blanks_are_compared_by_characters() -> None:
    first = "万里长城是中国古代的军事防御工程，每年有很多游客来参观" * 3
    texts = [first, first + "。", first.replace("游客", "工人").replace("长城", "运河")]
    assert first_alike(texts).tolist() == [0, 0, 2]


@given(st.lists(st.sampled_from(["a b c d", "a b c e", "b", "", "x y z"]), max_size=30))
def test_what_stands_for_others_stands_for_itself(texts: list[str]) -> None:
    found = first_alike(texts)
    assert (found <= np.arange(len(texts))).all()
    assert (found[found] == found).all()
    for text in {"a b c d", "a b c e", "b", "x y z"}:
        places = [i for i, one in enumerate(texts) if one == text]
        assert len(set(found[places].tolist())) <= 1


def test_time_is_linear_in_a_long_text_and_in_many_that_share_a_band() -> None:
    start = time.perf_counter()
    first_alike(["x" * 1_000_000, "x " * 500_000, "长" * 300_000])
    first_alike([f"the same three words {i % 50}" for i in range(3_000)])
    assert time.perf_counter() - start < 20  # squares of these would be hours
