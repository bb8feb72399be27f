"""Questions made of a bundle's own sentences, one phrase of each left out: a cloze test (Taylor 1953).

What is left out is a name or a number, as answers are, that its passage's title does not give away. The rest
of the sentence asks for it, with "what" in its place and without the words that only this passage would have
in such an order: a search would else find the passage whatever the question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lurcher.bundle.passages import Passage
from lurcher.bundle.segmented.passages import PassageStore
from lurcher.retrieval.answer_words import says_something
from lurcher.text import sentences

# Words of a sentence that is asked of: of fewer nothing follows, more are two questions.
_WORDS = range(6, 41)
_MOST_ASKED = 12  # words of a question, those nearest to what is asked for
_AT_ONCE = 256
# Capitalised words in a row, or a number: what stands in the middle of a sentence and is likely a name.
_PHRASE = re.compile(r"\d[\d.,]*\d|\d|[^\W\d_a-z][\w'’-]*(?:\s[^\W\d_a-z][\w'’-]*){0,3}")
_WORD = re.compile(r"\w[\w'’-]*")


@dataclass(frozen=True, slots=True)
class Cloze:
    """A question and the words that were left out."""

    text: str
    answer: str


def cloze_questions(passages: PassageStore, most: int, seed: int) -> list[Cloze]:
    """Up to ``most`` questions, each of another passage, drawn by ``seed``; fewer where few can be made."""
    generator = np.random.default_rng(seed)
    found: list[Cloze] = []
    for passage in _drawn(passages, generator):
        made = _made_of(passage, generator)
        if made is not None:
            found.append(made)
            if len(found) == most:
                break
    return found


def _drawn(passages: PassageStore, generator: np.random.Generator) -> Iterator[Passage]:
    rows = generator.permutation(passages.rows(()))
    for first in range(0, len(rows), _AT_ONCE):
        yield from passages.get(rows[first : first + _AT_ONCE].tolist())


def _made_of(passage: Passage, generator: np.random.Generator) -> Cloze | None:
    """A question about one sentence of ``passage``; None where none has a phrase to leave out."""
    text, title = passage.text, passage.heading.casefold()
    spans = sentences(text)
    for place in generator.permutation(len(spans)).tolist():
        start, end = spans[place]
        sentence = text[start:end]
        words = list(_WORD.finditer(sentence))
        if len(words) not in _WORDS:
            continue
        first = words[0].end()  # which is capitalised whatever it is
        phrases = [
            found
            for found in _PHRASE.finditer(sentence, first)
            if says_something(found[0]) and found[0].casefold() not in title
        ]
        if phrases:
            chosen = phrases[int(generator.integers(len(phrases)))]
            return Cloze(_asking(sentence, chosen), chosen[0])
    return None


def _asking(sentence: str, left_out: re.Match[str]) -> str:
    """The question for what was ``left_out`` of ``sentence``: the words around it, and a question mark."""
    before = [one[0] for one in _WORD.finditer(sentence, 0, left_out.start())]
    after = [one[0] for one in _WORD.finditer(sentence, left_out.end())]
    half = _MOST_ASKED // 2
    shown = (
        before[-max(half, _MOST_ASKED - len(after)) :],
        after[: max(half, _MOST_ASKED - len(before))],
    )
    return f"{' '.join([*shown[0], 'what', *shown[1]])}?"
