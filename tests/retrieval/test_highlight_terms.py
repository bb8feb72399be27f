"""A sentence is found by the terms of the analyser that it is given: stems, names, no function words."""

from __future__ import annotations

import pytest

from lurcher.models.lexical.analyser import Analyser
from lurcher.retrieval.highlights import best_sentences, query_words

ENGLISH = Analyser("english")


def marked(query: str, text: str, analyser: Analyser) -> str | None:
    (span,) = best_sentences(query, [text], analyser)
    return text[slice(*span)] if span else None


@pytest.mark.parametrize(
    ("query", "text", "expected"),
    [
        ("running", "A dog walks. A dog runs. It rests.", "A dog runs."),
        ("Who were the builders?", "They were the first. A builder's name.", "A builder's name."),
        ("to_json", "Call json first. Then obj.to_json() ends.", "Then obj.to_json() ends."),
        ("C#", "We write C here. We write C# here.", "We write C# here."),
        ("猫", "犬がいる. 黒猫がいる. 犬", "黒猫がいる."),
    ],
)  # fmt: skip
def test_a_sentence_is_found_by_analysed_terms(query: str, text: str, expected: str) -> None:
    assert marked(query, text, ENGLISH) == expected


def test_another_form_of_a_word_is_another_word_where_no_language_is_known() -> None:
    assert marked("running", "A dog runs.", Analyser("none")) is None


def test_a_short_word_counts_where_function_words_are_known() -> None:
    assert query_words("is the ox an animal", ENGLISH) == {"ox", "anim"}
    assert query_words("is the ox an animal") == {"the", "animal"}
