from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.index_builder.corpus.split import CHARACTERS, split


def passages(text: str, window: int, overlap: int) -> list[str]:
    return [text[start:end] for start, end in split(text, window, overlap)]


def numbers(count: int) -> str:
    return " ".join(str(n) for n in range(count))


WINDOWS = st.integers(1, 12).flatmap(lambda w: st.tuples(st.just(w), st.integers(0, w - 1)))
TEXTS = st.text("ab.\n  é字\u2003!", max_size=200) | st.lists(
    st.text("abc.", min_size=1, max_size=150), max_size=30
).map(" ".join)


@given(TEXTS, WINDOWS)
def test_every_word_is_covered_and_no_passage_is_too_long(
    text: str, sizes: tuple[int, int]
) -> None:
    window, overlap = sizes
    spans = list(split(text, window, overlap))
    covered = {at for start, end in spans for at in range(start, end)}
    assert covered >= {at for at, char in enumerate(text) if not char.isspace()}
    for start, end in spans:
        assert 0 <= start < end <= len(text)
        assert text[start:end] == text[start:end].strip()
        assert len(text[start:end].split()) <= window
        assert end - start <= CHARACTERS * window


@given(TEXTS, WINDOWS)
def test_passages_go_forward_and_share_at_most_the_overlap(
    text: str, sizes: tuple[int, int]
) -> None:
    window, overlap = sizes
    for (start, end), (following, last) in pairwise(split(text, window, overlap)):
        assert start < following
        assert end < last
        assert len(text[following:end].split()) <= overlap
        assert end - following <= CHARACTERS * overlap


def test_text_without_words_has_no_passages() -> None:
    assert passages("", 5, 2) == passages(" \n\u2003", 5, 2) == []


def test_a_short_text_is_one_passage_without_the_space_around_it() -> None:
    assert list(split("  one two.\nthree \n", 3, 1)) == [(2, 16)]


def test_windows_overlap_by_words() -> None:
    assert passages("0 1 2 3 4 5 6 7", 4, 2) == ["0 1 2 3", "2 3 4 5", "4 5 6 7"]
    assert passages("0 1 2 3 4 5", 2, 0) == ["0 1", "2 3", "4 5"]


@pytest.mark.parametrize("mark", [".", "!", "?", "…", ".”", "。", '?")'])
def test_a_sentence_end_in_the_last_quarter_ends_the_passage(mark: str) -> None:
    text = f"0 1 2 3 4 5 6{mark} 7 8 9"
    assert passages(text, 8, 0)[0] == f"0 1 2 3 4 5 6{mark}"


def test_a_paragraph_end_ends_the_passage_and_a_line_end_does_not() -> None:
    assert passages("0 1 2 3 4 5 6\r\n\r\n7 8 9", 8, 0)[0] == "0 1 2 3 4 5 6"
    assert passages("0 1 2 3 4 5 6\n7 8 9", 8, 0)[0] == "0 1 2 3 4 5 6\n7"


def test_an_abbreviation_or_initial_ends_no_passage() -> None:
    assert passages("0 1 2 3 4 5 e.g. seven 8", 8, 0)[0] == "0 1 2 3 4 5 e.g. seven"
    assert passages("0 1 2 3 4 5 J. Bach 8", 8, 0)[0] == "0 1 2 3 4 5 J. Bach"


def test_an_earlier_sentence_end_does_not() -> None:
    assert passages("0 1 2 3 4 5. 6 7 8 9", 8, 0)[0] == "0 1 2 3 4 5. 6 7"


def test_an_end_among_the_shared_words_would_lead_nowhere() -> None:
    # The first passage ends with "7."; the second has it too, and has to pass it.
    found = passages("0 1 2 3 4 5 6 7. 8 9 10", 8, 7)
    assert found[:2] == ["0 1 2 3 4 5 6 7.", "1 2 3 4 5 6 7. 8"]


def test_a_word_longer_than_a_passage_is_cut() -> None:
    assert passages("x" * 100, 5, 2) == ["x" * 40, "x" * 40, "x" * 20]


def test_long_words_do_not_multiply_passages() -> None:
    # 40 such words would be nearly all of a passage of 1,600 characters, and all of it overlap.
    text = " ".join(["w" * 39] * 1000)
    assert len(passages(text, 200, 40)) <= len(text) / (CHARACTERS * 150)


def test_a_wide_gap_is_not_part_of_a_passage() -> None:
    assert passages("a" + " " * 1000 + "b", 5, 2) == ["a", "b"]


def test_ten_thousand_words() -> None:
    found = passages(numbers(10_000), 200, 40)
    assert [one.split()[0] for one in found] == [str(n) for n in range(0, 9_921, 160)]
    assert found[-1].split()[-1] == "9999"
