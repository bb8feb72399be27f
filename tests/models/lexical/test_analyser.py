"""Text becomes terms: words by their stems, identifiers whole and in parts."""

from __future__ import annotations

import pytest

from lurcher.models.lexical.analyser import Analyser, Terms

ENGLISH = Analyser("english")


@pytest.mark.parametrize(
    ("text", "words", "extra"),
    [
        ("", [], []),
        ("?! … 😀 👩‍🔬 --", [], []),
        ("Running RUNS", ["run", "run"], []),
        ("Einstein's don’t l'eau", ["einstein", "don", "t", "l", "eau"], []),
        ("東京都 猫", ["東京", "京都", "猫"], ["東", "京", "都"]),
    ],
)
def test_terms_of_a_text(text: str, words: list[str], extra: list[str]) -> None:
    assert ENGLISH.terms(text) == Terms(words, extra)


def test_function_words_are_left_out_of_a_query_unless_there_is_nothing_else() -> None:
    assert ENGLISH.query_terms("What are the oldest bridges of the oldest town?") == [
        "oldest",
        "bridg",
        "town",
    ]
    assert ENGLISH.query_terms("to be or not to be") == ["to", "be", "or", "not"]
