"""Phrases: quoted words of a query that a passage must have, one beside the other.

Case, accents and what stands between the words do not count ("Saint-Denis" and "saint denis" are one phrase),
the form of a word does. Only a query that asks for ``query_syntax: phrase`` has phrases; in any other, quotes
are like commas.
"""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np

from lurcher.bundle.lexical_index import LexicalIndex
from lurcher.bundle.passages import Passages, Rows
from lurcher.errors import FieldError
from lurcher.folding import SIGNS, WORD, folded
from lurcher.models.lexical.analyser import Analyser
from lurcher.text import UNSPACED

# Passages that have all words of a phrase are looked through for it: so many take a quarter of a second.
MOST_LOOKED_THROUGH = 20_000
_TOGETHER = 1_000

_QUOTED = re.compile('"([^"]*)"|“([^“”]*)”|„([^„“”]*)[“”]|«([^«»]*)»')
_UNSPACED = re.compile(f"[{UNSPACED}]")
_RUN = re.compile(f"[{UNSPACED}]+|[^{UNSPACED} ]+")


def quoted(text: str) -> tuple[str, ...]:
    """What ``text`` has in quotes, each once; a quote without its partner, or without a word, is none."""
    found = ("".join(match).strip() for match in _QUOTED.findall(text))
    return tuple({tuple(_words(phrase)): phrase for phrase in found if _words(phrase)}.values())


def rows_with(
    phrase: str, index: LexicalIndex, passages: Passages, most: int = MOST_LOOKED_THROUGH
) -> Rows:
    """The rows, ascending, of the passages that have ``phrase`` in title, section or text.

    Raises FieldError for a phrase whose words more than ``most`` passages have.
    """
    rows = index.rows_with_all(required_terms(phrase, index.analyser))
    if len(rows) > most:
        reason = (
            f'{len(rows):,} passages have all words of "{phrase}", and at most {most:,} are looked through '
            "for a phrase: add a rarer word to it, or leave out its quotes"
        )
        raise FieldError("query", reason)
    pattern = phrase_pattern(phrase)
    found: list[int] = []
    for start in range(0, len(rows), _TOGETHER):
        some = rows[start : start + _TOGETHER].tolist()
        contents = zip(some, passages.contents(some), strict=True)
        found += [row for row, content in contents if pattern.search(folded(content))]
    return np.array(found, np.int64)


def required_terms(phrase: str, analyser: Analyser) -> list[str]:
    """Terms of every passage with ``phrase``, however that joins its words.

    What an apostrophe ties to a word is a term only where a blank stands in its place.
    """
    apart = set(analyser.terms(" ".join(_words(phrase))).words)
    return [term for term in analyser.terms(phrase).words if term in apart]


def phrase_pattern(phrase: str) -> re.Pattern[str]:
    """Finds the words of ``phrase`` in folded text, whole, with no other word between them.

    A sign of a script without blanks may stand right beside them, as it may beside any word.
    """
    runs = _RUN.findall(" ".join(_words(phrase)))
    pattern = re.escape(runs[0])
    for before, after in pairwise(runs):
        blank = "*" if _UNSPACED.match(before) or _UNSPACED.match(after) else "+"
        pattern += f"[^{SIGNS}]{blank}{re.escape(after)}"
    begin = "" if _UNSPACED.match(runs[0]) else f"(?:(?<![{SIGNS}])|(?<=[{UNSPACED}]))"
    end = "" if _UNSPACED.match(runs[-1]) else f"(?:(?![{SIGNS}])|(?=[{UNSPACED}]))"
    return re.compile(f"{begin}{pattern}{end}")


def _words(phrase: str) -> list[str]:
    return WORD.findall(folded(phrase))
