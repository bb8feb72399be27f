"""The sentence around an answer: whole, and never less than the answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.retrieval.sentences import sentence_around

texts = st.text(st.sampled_from("aB .!?…\n。」”)é🐕 "), max_size=40)


@pytest.mark.parametrize(
    ("text", "words", "sentence"),
    [
        ("A dog barks. The cat sleeps! Rain falls.", "cat", "The cat sleeps!"),
        ("A dog barks. The cat sleeps! Rain falls.", "dog", "A dog barks."),
        ("A dog barks. The cat sleeps! Rain falls.", "Rain falls.", "Rain falls."),
        ("  One only ", "only", "One only"),
        ("It was built in the U.S. in 1950. More.", "1950", "It was built in the U.S. in 1950."),
        ("Music by J. S. Bach. Words by none.", "Bach", "Music by J. S. Bach."),
        ("It costs 3.50 here, e.g. today. More.", "today", "It costs 3.50 here, e.g. today."),
        ("Who? nobody. All.", "nobody", "nobody."),
        ('He said "Yes." Then he went.', "went", "Then he went."),
        ('He said "Yes." Then he went.', "Yes", 'He said "Yes."'),
        ("A headline\nand its text. More.", "headline", "A headline"),
        ("A headline\nand its text. More.", "its", "and its text."),
        ("猫は窓で寝る。犬は庭にいる。", "犬", "犬は庭にいる。"),
        ("猫は窓で寝る。犬は庭にいる。", "窓", "猫は窓で寝る。"),
        ("राजा आया। रानी गई।", "रानी", "रानी गई।"),
        ("🐕🐕‍🦺 Hunde. Die Katze 🎯 né. Ende", "🎯", "Die Katze 🎯 né."),
        ("Take 5. Then 6. Go on.", "Then", "Then 6."),
        ("As e.g. Paris is. More.", "Paris", "As e.g. Paris is."),
        ("First half. Second half. Third.", "half. Second", "First half. Second half."),
        ("Wait... what? Yes.", "what", "Wait... what?"),
        ("<p>Paris.</p> <p>Rome.</p>", "Rome", "<p>Paris.</p> <p>Rome.</p>"),
    ],
)
def test_it_is_the_sentence_around_the_words(text: str, words: str, sentence: str) -> None:
    start = text.index(words)
    first, last = sentence_around(text, start, start + len(words))
    assert text[first:last] == sentence


@given(texts, st.data())
def test_it_holds_the_words_and_no_blanks_around_them(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    first, last = sentence_around(text, start, end)
    assert 0 <= first <= start <= end <= last <= len(text)
    assert first == start or not text[first].isspace()
    assert last == end or not text[last - 1].isspace()


def test_a_megabyte_without_a_stop_is_one_sentence() -> None:
    text = "word " * 200_000 + "."
    assert sentence_around(text, 5, 9) == (0, len(text))
