"""The sentence of a passage that shares most with a query."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from lurcher.folding import WORD, folded
from lurcher.text import UNSPACED, sentences

# What is compared by pairs of signs: scripts without blanks, and Hangul, which writes particles and the parts
# of a compound on to a word (as Lucene's CJKBigramFilter does).
_PAIRED = UNSPACED + "\uac00-\ud7a3"
_RUN = re.compile(rf"[{_PAIRED}]+|[^{_PAIRED}]+")
_PAIRED_SIGN = re.compile(f"[{_PAIRED}]")

# A highlight is for reading; nobody reads on past this.
_MAX_CHARS = 20_000


def query_words(query: str) -> frozenset[str]:
    """The words of ``query`` that can tell one sentence from another: those of three letters or more.

    All of them if there is none so long. Of Hangul and of a script that puts no blanks between words, each
    two neighbouring signs are a word, and a sign that stands alone.
    """
    words = frozenset(
        word
        for run in _runs(query)
        for word in (_pairs(run) if len(run) > 1 and _PAIRED_SIGN.match(run) else [run])
    )
    return frozenset(word for word in words if len(word) > 2 or _PAIRED_SIGN.match(word)) or words


def text_words(text: str) -> frozenset[str]:
    """All words of ``text`` that a query may have."""
    words: set[str] = set()
    for run in _runs(text):
        if _PAIRED_SIGN.match(run):
            words.update(run, _pairs(run))
        else:
            words.add(run)
    return frozenset(words)


def best_sentences(query: str, texts: Sequence[str]) -> list[tuple[int, int] | None]:
    """For each of ``texts`` its ``best_sentence`` for the words of ``query``."""
    words = query_words(query)
    return [best_sentence(words, text) for text in texts]


def best_sentence(words: frozenset[str], text: str) -> tuple[int, int] | None:
    """Start and end, in code points, of the sentence with most of ``words``; None if none has any.

    Offsets are those of ``text`` as it is, however its letters are composed. A longer word counts more, since
    it is rarer; of two sentences with the same words the shorter one wins.
    """
    best, span = 0.0, None
    for start, end in sentences(text[:_MAX_CHARS]) if words else ():
        found = words & text_words(text[start:end])
        score = sum(map(len, found)) - math.log(1 + end - start) / 100 if found else 0.0
        if score > best:
            best, span = score, (start, end)
    return span


def _runs(text: str) -> Iterator[str]:
    """The words of ``text``, folded, cut where a script that is compared by pairs meets another."""
    for word in WORD.findall(folded(text)):
        yield from _RUN.findall(word)


def _pairs(run: str) -> list[str]:
    return [first + second for first, second in pairwise(run)]
