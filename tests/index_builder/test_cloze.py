"""Questions made of sentences: what is left out is a name or a number, and stands in no question."""

from __future__ import annotations

import pytest

from lurcher.bundle.passages import Passage, Passages
from lurcher.index_builder.cloze import Cloze, cloze_questions

FIRST = "The old bridge over the river was opened by Queen Maud in front of a large crowd."


def stored(*texts: str, title: str = "") -> Passages:
    return Passages.in_memory(
        [Passage(id=f"p{i}", title=title, text=text, metadata={}) for i, text in enumerate(texts)]
    )


def test_a_name_is_left_out_and_the_words_around_it_ask() -> None:
    (made,) = cloze_questions(stored(FIRST), 5, 0)
    assert made == Cloze(
        "over the river was opened by what in front of a large crowd?", "Queen Maud"
    )


@pytest.mark.parametrize(
    "text",
    [
        "", "Too short for Anna.", "no sentence here has a name or a number in it at all",
        "Only the first word of this one is a capital", " ".join(["word"] * 60 + ["Anna"]),
    ],
)  # fmt: skip
def test_texts_that_nothing_can_be_asked_of(text: str) -> None:
    assert cloze_questions(stored(text), 5, 0) == []


def test_what_the_title_says_is_not_asked() -> None:
    assert cloze_questions(stored(FIRST, title="Queen Maud of Norway"), 5, 0) == []


def test_as_many_as_wanted_of_different_passages_and_the_same_by_one_seed() -> None:
    texts = [FIRST.replace("Queen Maud", f"Queen Number{i}x of {1900 + i}") for i in range(12)]
    passages = stored(*texts)
    made = cloze_questions(passages, 5, 1)
    assert len(made) == 5 == len({one.answer for one in made})
    assert made == cloze_questions(passages, 5, 1) != cloze_questions(passages, 5, 2)
    for one in made:
        assert any(one.answer in text for text in texts)
        assert one.answer not in one.text
        assert len(one.text.split()) <= 14
