"""Phrases: quoted words of a query that a passage must have, one beside the other.

Case, accents and what stands between the words do not count ("Saint-Denis" and "saint denis" are one phrase),
the form of a word does. Only a query that asks for ``query_syntax: phrase`` has phrases; in any other, quotes
are like commas.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from lurcher.bundle.lexical_index import LexicalIndex
from lurcher.bundle.passages import Rows
from lurcher.bundle.segmented.passages import PassageStore
from lurcher.errors import FieldError
from lurcher.folding import SIGNS, WORD, folded
from lurcher.models.lexical.analyser import Analyser
from lurcher.text import UNSPACED

# Passages that have all words of the phrases are looked through for them: so many take a quarter of a second.
MOST_LOOKED_THROUGH = 20_000
MOST_PHRASES = 20
_TOGETHER = 1_000

_QUOTED = re.compile('"([^"]*)"|“([^“”]*)”|„([^„“”]*)[“”]|«([^«»]*)»')
# Scripts that write no blank after a word, or something else right behind it.
_UNSPACED = re.compile(f"[{UNSPACED}]")
_ENDLESS = re.compile(f"[{UNSPACED}\uac00-\ud7a3]")
_RUN = re.compile(f"[{UNSPACED}]+|[^{UNSPACED} ]+")
# A long class, which takes milliseconds to compile: around a phrase only. Between words, Python's \W will do.
_BEGIN = f"(?:(?<![{SIGNS}])|(?<=[{UNSPACED}]))"
_END = f"(?:(?![{SIGNS}])|(?=[{UNSPACED}]))"


def quoted(text: str) -> tuple[str, ...]:
    """What ``text`` has in quotes, each once; a quote without its partner, or without a word, is none."""
    found = ("".join(match).strip() for match in _QUOTED.findall(text))
    return tuple({tuple(_words(phrase)): phrase for phrase in found if _words(phrase)}.values())


def rows_with(
    phrases: Sequence[str], index: LexicalIndex, passages: PassageStore, allow: Rows | None = None,
    most: int = MOST_LOOKED_THROUGH,
) -> Rows:  # fmt: skip
    """Those of the rows ``allow`` (None: all), ascending, whose passages have all ``phrases``.

    A phrase may stand in title, section or text. Raises FieldError where there are too many phrases, or more
    than ``most`` passages have all their words.
    """
    if len(phrases) > MOST_PHRASES:
        raise FieldError("query", f"has {len(phrases)} phrases, at most {MOST_PHRASES} are allowed")
    terms = [term for phrase in phrases for term in required_terms(phrase, index.analyser)]
    rows = index.rows_with_all(terms)
    if allow is not None:
        rows = np.intersect1d(rows, allow, assume_unique=True)
    if len(rows) > most:
        reason = (
            f"{len(rows):,} passages have all words in quotes, and at most {most:,} are looked through for "
            "phrases: add a rarer word to one, or leave out the quotes"
        )
        raise FieldError("query", reason)
    if not len(rows):
        return rows
    patterns = [phrase_pattern(phrase) for phrase in phrases]
    found: list[int] = []
    for start in range(0, len(rows), _TOGETHER):
        some = rows[start : start + _TOGETHER].tolist()
        for row, content in zip(some, passages.contents(some), strict=True):
            text = comparable(content)
            if all(pattern.search(text) for pattern in patterns):
                found.append(row)
    return np.array(found, np.int64)


def required_terms(phrase: str, analyser: Analyser) -> list[str]:
    """Terms of every passage with ``phrase``, however that joins its words.

    What an apostrophe ties to a word is a term only where a blank stands in its place, and what follows the
    last Korean word may belong to it.
    """
    apart = set(analyser.terms(" ".join(_words(phrase))).words)
    return [term for term in analyser.terms(phrase).words if term in apart]


def phrase_pattern(phrase: str) -> re.Pattern[str]:
    """Finds the words of ``phrase`` in folded text, whole, with no other word between them.

    A sign of a script without blanks may stand right beside them, as it may beside any word, and a Korean
    word may have a particle.
    """
    runs = _RUN.findall(" ".join(_words(phrase)))
    pattern = re.escape(runs[0])
    for before, after in pairwise(runs):
        blank = "*" if _UNSPACED.match(before) or _UNSPACED.match(after) else "+"
        pattern += rf"\W{blank}{re.escape(after)}"
    begin = "" if _UNSPACED.match(runs[0]) else _BEGIN
    end = "" if _ENDLESS.match(runs[-1][-1]) else _END
    return re.compile(f"{begin}{pattern}{end}")


def _words(phrase: str) -> list[str]:
    return WORD.findall(comparable(phrase))


def comparable(text: str) -> str:
    """``text`` as phrases are looked for in it: folded, and names in code cut at their underscores."""
    return folded(text).replace("_", " ")
