"""Whether a query reads like a question, which is what a reader's probabilities were measured on.

A query does, in whatever language, if it has a question mark that ends a word (or one of a script whose mark
stands by itself, such as "？" and "؟"). Without one it does in English:

- if its first word, or the one after a preposition, asks (who, what, how ...) and another follows;
- if its first word is a verb that asks (is, does, can ...) and two or more follow, none of them "not" first;
- if it has three words or more, and the last one asks ("the tower was built when").

So "uninstall a package" and "who" are none; "how to uninstall a package" is one. Takes time linear in the
length of the query.
"""

from __future__ import annotations

from lurcher.folding import word_set

# Question marks that are nothing else, wherever they stand: those of Spanish, Armenian, Arabic, Ethiopic,
# Limbu, Vai, Bamum, Chakma; doubled, full width, small, upright and reversed ones, interrobangs, emoji.
_MARKS = frozenset(
    "\u00bf\u055e\u061f\u1367\u1945\u203d\u2047\u2048\u2049\u2753\u2754\u2cfa\u2cfb\u2e18\u2e2e\ua60f"
    "\ua6f7\ufe16\ufe56\uff1f\U00011143"
)
# What may follow "?" at the end of a word.
_AFTER = "\"'”’»)]}!?.…"
_AROUND = "\"'“”‘’«»()[]{}.,;:!…-–—"
_GREEK_MARKS = ";\u037e"

_ASKING = word_set("who whom whose what which when where why how whos whats whens wheres whys hows")
_BEFORE = word_set(
    "about after at before by during for from in into of on since through till to under until upon with "
    "within and but so then"
)
_VERBS = word_set(
    "is are was were am do does did can could will would shall should has have had isn't aren't wasn't "
    "weren't doesn't didn't can't couldn't won't wouldn't shouldn't hasn't haven't hadn't"
)


def is_question(query: str) -> bool:
    """Whether ``query`` reads like a question, by the rules above."""
    if not _MARKS.isdisjoint(query):
        return any(sign.isalnum() for sign in query)
    parts = query.split()
    words = [word for part in parts if (word := _plain(part))]
    if not words:
        return False
    # French puts a blank before the last mark.
    if _has_mark(parts[-1]) or any(_has_mark(part) and _plain(part) for part in parts[:-1]):
        return True
    if parts[-1][-1] in _GREEK_MARKS and _is_greek(words[-1]):
        return True
    return _asks_in_english(words)


def _has_mark(part: str) -> bool:
    """Whether there is a question mark among those that ``part`` ends with."""
    return "?" in part[len(part.rstrip(_AFTER)) :]


def _plain(part: str) -> str:
    """The word in ``part``, folded, without the marks around it; empty for marks alone."""
    word = part.strip(_AROUND + "?").casefold().replace("’", "'")
    return word if any(sign.isalnum() for sign in word) else ""


def _is_greek(word: str) -> bool:
    return "\u0370" <= word[-1] <= "\u03ff" or "\u1f00" <= word[-1] <= "\u1fff"


def _asks_in_english(words: list[str]) -> bool:
    first, *others = words
    if others and _asks(first):
        return True
    if first in _BEFORE and len(others) > 1 and _asks(others[0]):
        return True
    if first in _VERBS and len(others) > 1 and others[0] != "not":
        return True
    return len(others) > 1 and words[-1] in _ASKING


def _asks(word: str) -> bool:
    """Whether ``word`` is a question word, or one with a verb drawn on to it, as "what's"."""
    return word.partition("'")[0] in _ASKING
