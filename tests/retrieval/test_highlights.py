"""The marked sentence: its offsets are code points, and it is the one that shares most with the query."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.retrieval.highlights import best_sentence, query_words, text_words


def marked(query: str, text: str) -> str | None:
    span = best_sentence(query_words(query), text)
    return text[slice(*span)] if span else None


@pytest.mark.parametrize(
    ("query", "text", "expected"),
    [
        ("cat sleeps", "A dog barks. The cat sleeps! Rain falls.", "The cat sleeps!"),
        ("CAT", "A dog. A cat", "A cat"),
        ("straße", "Eine STRASSE hier. Ein Weg.", "Eine STRASSE hier."),
        ("emoji dog", "🐕‍🦺🏃 hunts. An emoji 🎯 dog. End.", "An emoji 🎯 dog."),
        ("version", "Use 3.11 here. A version 2.5.1 file e.g. now. End", "A version 2.5.1 file e.g. now."),
        ("headline", "A headline\nand its text. More.", "A headline"),
        ("猫", "犬がいる. 猫がいる猫. 犬", "猫がいる猫."),
        ("長城", "城は長い。万里の長城は長い。", "万里の長城は長い。"),
        ("Windows版", "Windows and Linux. これはLinux版です。Windows 版。", "Windows 版。"),
        ("भारत", "यह भरत है। यह भारत है।", "यह भारत है।"),
        ("cafe\u0301", "Le caf\u00e9 noir. Le th\u00e9.", "Le caf\u00e9 noir."),
        ("猫", "犬. 猫. 鳥", "猫."),
        ("شمس", "القمر بعيد. شمس قريبة. نهاية", "شمس قريبة."),
        ("rare word", "A word. A word that is rare in a longer one.", "A word that is rare in a longer one."),
        ("same", "The same in a long sentence of words. The same.", "The same."),
    ],
)  # fmt: skip
def test_sentence_that_shares_most_is_marked(query: str, text: str, expected: str | None) -> None:
    assert marked(query, text) == expected


@pytest.mark.parametrize("text", ["", "   ", "...", "Nothing in common.", "the is of"])
def test_nothing_in_common_is_no_highlight(text: str) -> None:
    assert best_sentence(query_words("cat"), text) is None


@pytest.mark.parametrize("query", ["?!", " . ", "😀"])
def test_query_without_words_marks_nothing(query: str) -> None:
    assert query_words(query) == frozenset()
    assert marked(query, "Any sentence. 😀 here.") is None


def test_short_words_count_only_where_there_are_no_longer_ones() -> None:
    assert query_words("is it the cat") == {"the", "cat"}
    assert query_words("is it") == {"is", "it"}
    assert query_words("is the 人口") == {"the", "人口"}


def test_neighbouring_signs_are_words_where_no_blanks_are_written() -> None:
    assert query_words("東京都 猫") == {"東京", "京都", "猫"}
    assert text_words("東京都") == {"東京", "京都", "東", "京", "都"}


@given(st.text(max_size=300), st.text(max_size=50))
def test_span_lies_in_the_text_and_holds_a_word_of_the_query(text: str, query: str) -> None:
    words = query_words(query)
    span = best_sentence(words, text)
    if span is None:
        return
    start, end = span
    assert 0 <= start < end <= len(text)
    assert "\n" not in text[start:end]
    assert words & text_words(text[start:end])


def test_huge_text_costs_no_more_than_its_beginning() -> None:
    filler = "Word " * 2_000_000
    assert marked("needle", f"A needle. {filler}") == "A needle."
    assert marked("needle", f"{filler} A needle.") is None


@pytest.mark.parametrize("text", ["." * 100_000, "a." * 50_000, " " * 100_000, "a.b" * 30_000])
def test_hostile_text_does_not_make_the_pattern_walk_back(text: str) -> None:
    assert marked("needle", text) is None
