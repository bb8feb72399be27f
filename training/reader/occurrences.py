"""Where answers stand in passages: what distant supervision takes for right (Mintz et al. 2009).

Nobody has read these passages: an answer that stands in one may mean something else there. What reads them in
training decides how much each counts (``training.reader.span_training``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lurcher.models.tokens.clustering import Integers

# Answers of more words are sentences, which stand nowhere twice.
_WORDS = 12
_WORD = re.compile(r"\w+")
_ARTICLES = frozenset({"a", "an", "the"})

# First and last informative token of an answer, both part of it.
TokenSpan = tuple[int, int]


def pattern_of(answers: Sequence[str]) -> re.Pattern[str] | None:
    """What finds any of ``answers`` as whole words, whatever their case and punctuation; None for no words.

    Articles that they begin with do not count, as in SQuAD's measures.
    """
    found: list[str] = []
    for answer in answers:
        words = _WORD.findall(answer)
        if len(words) > 1 and words[0].casefold() in _ARTICLES:
            words = words[1:]
        if 0 < len(words) <= _WORDS:
            found.append(r"[\W_]+".join(map(re.escape, words)))
    if not found:
        return None
    # The longest first: of answers that begin alike the whole one is wanted.
    alternatives = "|".join(sorted(set(found), key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)", re.IGNORECASE)


def occurrences(
    pattern: re.Pattern[str], content: str, spans: Sequence[tuple[int, int]], places: Integers
) -> list[TokenSpan]:
    """Where ``pattern`` stands among the informative tokens of a passage with ``content``.

    ``spans`` are those of its own tokens, in code points; the informative ones stand at ``places`` (M,) among
    them. An occurrence without one is left out.
    """
    found: list[TokenSpan] = []
    for match in pattern.finditer(content):
        start, end = match.span()
        inside = [
            number
            for number, place in enumerate(places.tolist())
            if spans[place][0] < end and spans[place][1] > start
        ]
        if inside:
            found.append((inside[0], inside[-1]))
    return found
