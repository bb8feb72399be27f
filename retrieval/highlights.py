"""The sentence of a passage that shares most with a query."""

from __future__ import annotations

import math
import re

_SENTENCE = re.compile(r"[^\s.!?][^.!?\n]*(?:[.!?](?!\s|$)[^.!?\n]*)*[.!?]*")
_WORD = re.compile(r"\w+")

# A highlight is for reading; nobody reads on past this.
_MAX_CHARS = 20_000


def query_words(query: str) -> frozenset[str]:
    """The words of ``query`` that can tell one sentence from another: those of three letters or more.

    All of them where there is none so long, as in scripts that write whole words in one sign.
    """
    words = frozenset(word.casefold() for word in _WORD.findall(query))
    return frozenset(word for word in words if len(word) > 2) or words


def best_sentence(words: frozenset[str], text: str) -> tuple[int, int] | None:
    """Start and end, in code points, of the sentence with most of ``words``, or None where none has any.

    A longer word counts more, since it is rarer; of two sentences with the same words the shorter
    one wins.
    """
    best, span = 0.0, None
    for match in _SENTENCE.finditer(text[:_MAX_CHARS]):
        found = words.intersection(map(str.casefold, _WORD.findall(match[0])))
        score = sum(map(len, found)) - math.log(1 + len(match[0])) / 100 if found else 0.0
        if score > best:
            best, span = score, match.span()
    return span
