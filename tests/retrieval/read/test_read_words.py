"""An answer is exact words at an exact place."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Passage
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.reader.spans import Span
from lurcher.retrieval.passage_reader import ReadPassage
from tests.retrieval.read.asking import Ask, by_passage, whole
from tests.server.odd import ODD, prompted_encoder
from tests.server.pointing import Pointing
from tests.tiny import TINY, TinyOptions, build

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@pytest.mark.parametrize(
    ("first", "last", "id_", "part", "words"),
    [
        (0, 0, "one", "text", "telescope"),
        (0, 3, "titled", "title", "Galileo Galilei"),
        (4, 6, "titled", "text", "built a telescope"),
        (1, 6, "titled", "text", "built a telescope"),  # over the seam: cut to the part with more
        (0, 4, "titled", "title", "Galileo Galilei"),
        (1, 3, "title only", "title", "moons of Jupiter"),
        (0, 1, "padded", "text", "the oboe"),
        (1, 4, "padded", "text", "oboe gives the note"),
        (0, 2, "long", "text", "sand dunes"),
        (1, 2, "emoji", "title", "Hunde"),
        (0, 0, "emoji", "title", "🐕🐕‍🦺"),
        (3, 3, "emoji", "text", "🏃"),
        (5, 5, "emoji", "text", "naïve"),
        (9, 10, "emoji", "text", "e\u0301te\u0301"),
        (10, 10, "emoji", "text", "e\u0301te\u0301"),  # the whole word
        (10, 14, "emoji", "text", "e\u0301te\u0301 — 猫は窓"),
        (13, 13, "emoji", "text", "は"),
        (1, 3, "marked", "text", "[SEP] in the"),
    ],
)
def test_an_answer_is_what_stands_there(
    ask: Ask, first: int, last: int, id_: str, part: str, words: str
) -> None:
    found = by_passage(ask(Pointing(first, last)))[id_]
    assert (found.text, found.part) == (words, part)
    assert whole(found)[slice(*found.span)] == words


@pytest.mark.parametrize("first", [0, 1, 2, 5, 11, 40, 200, 253])
@pytest.mark.parametrize("more", [0, 1, 3, 30])
def test_every_answer_is_an_exact_part_of_its_passage(ask: Ask, first: int, more: int) -> None:
    for found in ask(Pointing(first, first + more)).answers:
        assert whole(found)[slice(*found.span)] == found.text
        assert found.text == found.text.strip() != ""


def test_a_passage_of_another_prompt_is_read_where_it_stands(
    tmp_path: Path, write_jsonl: Any
) -> None:
    encoder = prompted_encoder(tmp_path / "encoder")
    out = tmp_path / "odd.lurcher"
    build(write_jsonl(tmp_path / "odd.jsonl", ODD), out, TinyOptions(encoder=encoder, answers=True))
    with closing(Bundle.open(out)) as bundle:
        found = by_passage(Ask(bundle)(Pointing(4, 6)))["titled"]
    assert (found.text, found.part) == ("built a telescope", "text")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load(TINY, "passage", 1)


@pytest.mark.parametrize(
    ("title", "text", "first", "last", "words"),
    [
        ("Red", "  dogs run", 0, 1, ("dogs", "text", (2, 6))),
        (" Greyhounds  ", "run", 0, 2, ("Greyhounds", "title", (1, 11))),
        ("", "\n the end ", 0, 1, ("the end", "text", (2, 9))),
        ("cafe\u0301", "noe\u0308l", 0, 0, ("cafe\u0301", "title", (0, 5))),
    ],
)
def test_no_blank_stands_at_either_end_of_an_answer(
    encoder: Encoder, title: str, text: str, first: int, last: int, words: Any
) -> None:
    passage = Passage("id", text, title)
    every = np.arange(len(encoder.own_spans(passage.content)))
    read = ReadPassage(passage, encoder, every, np.zeros((len(every), 2), np.float32))
    assert read.words(Span(0, first, last, 0.0)) == words


@given(title=texts, section=st.lists(texts, max_size=2), text=texts, data=st.data())
def test_words_of_any_span_are_part_of_the_passage(
    encoder: Encoder, title: str, section: list[str], text: str, data: st.DataObject
) -> None:
    passage = Passage("id", text, title, section=tuple(section))
    title = passage.heading
    spans = encoder.own_spans(passage.content)
    if not spans:
        return
    first = data.draw(st.integers(0, len(spans) - 1))
    last = data.draw(st.integers(first, len(spans) - 1))
    every = np.arange(len(spans))
    read = ReadPassage(passage, encoder, every, np.zeros((len(every), 2), np.float32))
    found = read.words(Span(0, first, last, 0.0))
    if found is None:
        assert not passage.content[spans[first][0] : spans[last][1]].strip()
        return
    words, part, span = found
    assert (title if part == "title" else text)[slice(*span)] == words == words.strip() != ""
    shown = read.answer(Span(0, first, last, 0.0))
    if shown is not None:
        words_shown, part, span = shown
        assert (title if part == "title" else text)[slice(*span)] == words_shown
    # Nothing is there that was not meant, but for marks upon the last letter.
    meant = passage.content[spans[first][0] :]
    assert words in meant
    if part == "text" and not title:
        assert meant.startswith(words) or meant[0].isspace()
