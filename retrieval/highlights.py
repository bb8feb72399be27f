"""The sentence of a passage that shares most with a query."""

from __future__ import annotations

import math
from collections.abc import Iterable

from lurcher.models.lexical.analyser import Analyser, is_paired
from lurcher.text import sentences

# A highlight is for reading; nobody reads on past this.
_MAX_CHARS = 20_000


# Words as they are written, for a bundle that says no language.
AS_WRITTEN = Analyser("none")
_SHORT = 2


def query_words(query: str, analyser: Analyser = AS_WRITTEN) -> frozenset[str]:
    """The terms of ``query`` that can tell one sentence from another: those that are not function words.

    Where the analyser knows no function words, they are the terms of three letters or more, and pairs of
    neighbouring signs. If there are no such, all terms.
    """
    terms = frozenset(analyser.query_terms(query))
    if analyser.language != "none":
        return terms
    return frozenset(term for term in terms if len(term) > _SHORT or is_paired(term)) or terms


def text_words(text: str, analyser: Analyser = AS_WRITTEN) -> frozenset[str]:
    """All terms of ``text`` that a query may have."""
    terms = analyser.terms(text)
    return frozenset(terms.words).union(terms.extra)


def best_sentences(
    query: str, texts: Iterable[str], analyser: Analyser = AS_WRITTEN
) -> list[tuple[int, int] | None]:
    """For each of ``texts`` its ``best_sentence`` for the words of ``query``."""
    words = query_words(query, analyser)
    return [best_sentence(words, text, analyser) for text in texts]


def best_sentence(
    words: frozenset[str], text: str, analyser: Analyser = AS_WRITTEN
) -> tuple[int, int] | None:
    """Start and end, in code points, of the sentence with most of ``words``; None if none has any.

    ``words`` are ``query_words`` by the same ``analyser``, so a word is found in another form of it, too.
    Offsets are those of ``text`` as it is, however its letters are composed. A longer word counts more, since
    it is rarer; of two sentences with the same words the shorter one wins.
    """
    best, span = 0.0, None
    for start, end in sentences(text[:_MAX_CHARS]) if words else ():
        found = words & text_words(text[start:end], analyser)
        score = sum(map(len, found)) - math.log(1 + end - start) / 100 if found else 0.0
        if score > best:
            best, span = score, (start, end)
    return span
