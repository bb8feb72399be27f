"""Sentences: their spans cover the text, whatever it is, in time that grows with its length alone."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.retrieval.highlights import best_sentence, query_words
from lurcher.retrieval.sentences import sentence_around
from lurcher.text import sentence_ends, sentences
from tests.limits import within_a_minute

TEXTS = st.text() | st.text(st.sampled_from('aB1 .!?…\n\r\u2028。।؟」”)"é猫\u0301🐕'), max_size=60)


def parts(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n ", []),
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        (
            "It costs 3.50 at example.org/a?b=no. Yes.",
            ["It costs 3.50 at example.org/a?b=no.", "Yes."],
        ),
        ("Built in the U.S. in 1950. More.", ["Built in the U.S. in 1950.", "More."]),
        ("By J. S. Bach. Words", ["By J. S. Bach.", "Words"]),
        ("As e.g. Paris is. More.", ["As e.g. Paris is.", "More."]),
        ("By É. Zola. More", ["By É. Zola.", "More"]),
        ("قال د. أحمد ذلك. نعم.", ["قال د. أحمد ذلك.", "نعم."]),
        ("犬. 猫. 鳥", ["犬.", "猫.", "鳥"]),
        ("Wait... what? Who? nobody. All.", ["Wait... what?", "Who?", "nobody.", "All."]),
        ('He said "Yes." Then (no.) A', ['He said "Yes."', "Then (no.)", "A"]),
        ("A headline\r\nand its\u2028text.", ["A headline", "and its", "text."]),
        (
            "长城位于北部。它最长！是吗？“是。”完",
            ["长城位于北部。", "它最长！", "是吗？", "“是。”", "完"],
        ),
        ("राजा आया। रानी गई॥ अंत", ["राजा आया।", "रानी गई॥", "अंत"]),
        ("ते घरी गेले. मग आले.", ["ते घरी गेले.", "मग आले."]),
        ("یہ شہر ہے۔ کیا؟ ہاں", ["یہ شہر ہے۔", "کیا؟", "ہاں"]),
        ("ሰላም። እንዴት፧ ደህና", ["ሰላም።", "እንዴት፧", "ደህና"]),
        ("...", ["..."]),
    ],
)
def test_where_sentences_end(text: str, expected: list[str]) -> None:
    assert parts(text) == expected


def test_a_line_end_is_no_mark() -> None:
    assert list(sentence_ends("One\ntwo. Three\n\nfour.")) == [8, 21]


@given(TEXTS)
def test_spans_ascend_and_cover_all_that_is_not_blank(text: str) -> None:
    spans = sentences(text)
    assert all(first[1] <= second[0] for first, second in pairwise(spans))
    assert all(text[start:end] == text[start:end].strip() != "" for start, end in spans)
    outside = set(range(len(text))) - {at for span in spans for at in range(*span)}
    assert all(text[at].isspace() for at in outside)


@given(TEXTS)
def test_each_mark_that_ends_a_sentence_ends_a_span(text: str) -> None:
    ends = list(sentence_ends(text))
    assert ends == sorted(set(ends))
    assert set(ends) <= {end for _, end in sentences(text)}


@pytest.mark.parametrize(
    "piece",
    [".", "\n", '"', " ", ". ", '."', "J. ", "e.g. ", "x. y ", "猫", "猫。", "।", "a ", "\u0301\u0316", "ก "],
)  # fmt: skip
@pytest.mark.parametrize(
    "work",
    [
        sentences,
        lambda text: sentence_around(text, len(text) // 2, len(text) // 2 + 1),
        lambda text: best_sentence(query_words("cat 猫"), text),
    ],
    ids=["sentences", "sentence_around", "best_sentence"],
)
def test_a_long_text_of_the_worst_is_read(work: Callable[[str], object], piece: str) -> None:
    with within_a_minute():
        work(piece * (300_000 // len(piece)))
