"""Spans of answers are widened to whole words and phrases, and what says nothing is no answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.retrieval.answer_words import MOST, says_something, widened

TEXTS = st.text(
    st.sampled_from("ab5 g%.,-'\"()“”_é\u0301猫カ🐕\u200d🦺\n"), min_size=1, max_size=40
)


def shown(text: str, part: str) -> str:
    start = text.index(part)
    first, last = widened(text, start, start + len(part))
    return text[first:last]


@pytest.mark.parametrize(
    ("text", "part", "words"),
    [
        # Whole words.
        ("packages are removed", "ack", "packages"),
        ("a package.json file", "json", "package.json"),
        ("the node_modules folder", "node", "node_modules"),
        ("they don’t know", "don", "don’t"),
        ("asked O'Brien then", "Brien", "O'Brien"),
        ("built in the U.S. in 1950", "U", "U.S."),
        ("write to me@example.org now", "example", "me@example.org"),
        ("the e\u0301te\u0301 comes", "t", "the"),
        ("un e\u0301te\u0301 froid", "t", "e\u0301te\u0301"),
        ("في المَدْرَسَةِ هنا", "د", "المَدْرَسَةِ"),
        ("이것은 서울입니다 예", "서울", "서울입니다"),
        ("यह दिल्ली है", "द", "दिल्ली"),
        ("a co\u00adop\u00ader\u00adate b", "op", "co\u00adop\u00ader\u00adate"),
        ("now می‌خواهم now", "می", "می‌خواهم"),
        ("高い東京タワーの上", "タワ", "タワー"),
        ("東京は広い", "京", "京"),
        ("ends here.Next one", "here", "here.Next"),
        # What is drawn as one sign.
        ("a 🐕‍🦺 b", "🐕", "🐕‍🦺"),
        ("a 👩🏽 b", "👩", "👩🏽"),
        ("กิน ก", "ก", "กิ"),
        # Signs around a word.
        ("run it with --global here", "global", "--global"),
        ("run it with -g here", "g", "-g"),
        ("edit .npmrc first", "npmrc", ".npmrc"),
        ("written in C++, mostly", "C", "C++"),
        ("a+b is a sum", "a", "a"),
        # Compounds, but neither ranges nor dates.
        ("in the mid-1990s it", "1990", "mid-1990s"),
        ("a well-known case", "known", "well-known"),
        ("from 1914-1918 on", "1914", "1914"),
        ("from 1914–1918 on", "1918", "1918"),
        # Numbers.
        ("some 1,250,000 people", "250", "1,250,000"),
        ("it is 3.14 here", "14", "3.14"),
        ("at 10:30 sharp", "30", "10:30"),
        ("it weighs 5 kg today", "5", "5 kg"),
        ("it weighs 5 kg today", "kg", "5 kg"),
        ("it weighs 5g today", "5", "5g"),
        ("only 12 % left", "12", "12 %"),
        ("cost $3 million then", "3", "$3 million"),
        ("cost $3 million then", "million", "$3 million"),
        ("at -5 °C outside", "5", "-5 °C"),
        ("up to 300 km/h fast", "300", "300 km/h"),
        ("in 1990 members met", "1990", "1990"),
        ("a 5 gram weight", "5", "5"),
        # Quotations and brackets.
        ('known as "the Iron Lady" there', "Iron", "the Iron Lady"),
        ("known as “the Iron Lady” there", "Lady", "the Iron Lady"),
        ("known as „die Eiserne“ dort", "Eiserne", "die Eiserne"),
        ("known as 「鉄の女」 there", "鉄", "鉄の女"),
        ('the "Iron Lady" came', 'the "Iron', 'the "Iron Lady"'),
        ('say "no" or "yes" now', "or", "or"),
        ('a 5" pipe and a 6" one', "pipe", "pipe"),
        ("“He came. Then he saw” it", "came", "came"),
        ("“one two three four five six” it", "two", "two"),
        ("the World Health Organization (WHO) said", "Organization (WHO", "Organization (WHO)"),
        ("it (see below) is", "(see", "(see below)"),
        ("it (see below) is", "below)", "(see below)"),
        ("a smile :( here", "smile :(", "smile :"),
    ],
)
def test_an_answer_is_widened(text: str, part: str, words: str) -> None:
    assert shown(text, part) == words


@given(TEXTS, st.data())
def test_a_widened_span_holds_what_was_there(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    first, last = widened(text, start, end)
    assert 0 <= first <= len(text)
    assert text[first:last] == text[first:last].strip()
    # All but blanks and brackets without a partner.
    edges = ' \n"()“”'
    inner = text[start:end].strip(edges)
    assert inner in text[first:last]
    assert first >= start - 4 * MOST
    assert last <= end + 4 * MOST


@given(TEXTS, st.data())
def test_no_word_is_cut(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    if not text[start:end].strip():
        return
    first, last = widened(text, start, end)
    letters = set("ab5gé_")
    assert not (first and last > first and text[first] in letters and text[first - 1] in letters)
    assert not (last < len(text) and text[last - 1] in letters and text[last] in letters)


def test_a_word_without_end_is_left_as_it_was() -> None:
    text = "x" * 1_000_000
    assert widened(text, 500_000, 500_004) == (500_000, 500_004)


@pytest.mark.parametrize(
    "words",
    ["oboe", "5", "5 kg", "the US", "IT", "-g", "C++", "C#", "猫", "は", "🏃", "May", "no one", "it's 3"],
)  # fmt: skip
def test_that_is_an_answer(words: str) -> None:
    assert says_something(words)


@pytest.mark.parametrize(
    "words", ["", " ", "g", "g.", '"g"', "é", "e\u0301", "the", "of the", "It is", "…", "—", "(", "a b", "°"]
)  # fmt: skip
def test_that_says_nothing(words: str) -> None:
    assert not says_something(words)
