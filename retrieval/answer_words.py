"""The words that are shown for a span of an answer: whole, and enough of them to stand alone.

A reader points at tokens, which may be a part of a word. A span is widened, in this order, to

- whole words, as UAX #29 has them, and with them a hyphenated compound ("mid-1990s"), a sign before
  ("-5", "--global", ".npmrc") and after ("C++"), marks and all that is drawn as one sign;
- a number with its unit, whichever of both it points at ("5 kg", "$3 million");
- the phrase in quotation marks that it cuts, if that is short, and the bracket that it leaves open.

Nothing is widened by more than ``MOST`` code points, so that all takes constant time. What has no word to it
is no answer: marks, stop words, one letter.
"""

from __future__ import annotations

import re
import unicodedata

from lurcher.folding import word_set
from lurcher.retrieval.results import Span
from lurcher.text import UNSPACED

MOST = 100  # code points that a span grows by at either end, at most

_UNSPACED = re.compile(f"[{UNSPACED}]")
_KATAKANA = re.compile("[\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9d]")
_ZWJ, _ZWSP = "\u200d", "\u200b"
# What joins letters, digits, or either: MidLetter, MidNum and MidNumLet of UAX #29, of scripts in use; and
# hyphens, unless they stand between two numbers, which are a range or a date.
_MID_LETTER = frozenset("'’.·\u05f4@")
_MID_NUMBER = frozenset(".,:'’\u066b\u066c")
_HYPHENS = frozenset("-\u2010\u2011")
_BEFORE_WORD = frozenset("-\u2212+±.@#$")
_OPENING = frozenset("([{\"'“‘«")
_BEHIND_WORD = re.compile(r"(?:\+{1,2}|#)(?!\w)")

_ABBREVIATION = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")  # "U.S", whose last dot belongs to it

_NUMBER = r"[+\-\u2212]?[$€£¥]?\d[\d.,:]{0,30}"
_UNIT = (
    r"(?:%|‰|°[CF]?|[€£¥$]|percent\b|per cent\b|(?:hundred|thousand|million|billion|trillion|dozen)\b|"
    r"(?:[munkKMGT]?m|[mµuk]?g|[mcdk]?l|[kKMGTP]i?B|[kKMGT]?bit/s|[munµ]s|[kMGT]?Hz|[mkMG]?W|[mk]?V|mph|rpm|"
    r"kWh|km/h|m/s|h|min|ft|lb|oz|mi|kcal|hPa|[kM]?Pa|dB|px|pt|em|rem)(?![\w/]))"
)
_UNIT_BEHIND = re.compile(rf"[ \u00a0\u2009\u202f]?{_UNIT}")
_ENDS_WITH_NUMBER = re.compile(rf"(?:^|\s)[(\[]?{_NUMBER}$")
_BEGINS_WITH_UNIT = re.compile(_UNIT)
_NUMBER_BEFORE = re.compile(rf"(?:^|[\s(\[])({_NUMBER}[ \u00a0\u2009\u202f]?)$")

_BRACKETS = {"(": ")", "[": "]", "{": "}", "（": "）", "【": "】"}
_QUOTES = {"“": "”", "„": "“", "«": "»", "‹": "›", "「": "」", "『": "』", "《": "》", '"': '"'}
_PAIRS = _BRACKETS | _QUOTES
_PHRASE_WORDS = 5
_STOPS = re.compile(r"[.!?。！？\n]\s|[。！？\n]")

# Articles, pronouns, prepositions, conjunctions and auxiliary verbs; not "may" and "will", which are names.
_STOP_WORDS = word_set(
    "a about after also am an and are as at be been before being but by can could did do does during for "
    "from had has have he her hers him his how i if in into is it its me might must my nor of on or our "
    "ours over s shall she should so such t than that the their theirs them then there these they this "
    "those through to too under until up upon us very was we were what when where which while who whom "
    "whose why with would you your yours"
)
_AROUND = "\"'“”‘’«»‹›„()[]{}.,;:!?…–—*/\\|<>=~^`_"


def widened(text: str, start: int, end: int) -> Span:
    """The span of ``text`` around ``text[start:end]``, which is not empty, by the rules above.

    Without blanks at its ends.
    """
    start, end = _whole_words(text, start, end)
    start, end = _with_unit(text, start, end)
    start, end = _whole_phrase(text, start, end)
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())


def says_something(words: str) -> bool:
    """Whether ``words`` can be an answer: some word is neither a stop word nor a single letter.

    Digits count, and so do a sign of a script without blanks, an emoji, an abbreviation in capitals that a
    stop word looks like ("US"), and a letter with a sign ("-g", "C++").
    """
    return any(_tells(piece.strip(_AROUND)) for piece in words.split())


def _tells(word: str) -> bool:
    letters = sum(sign.isalpha() for sign in word)
    if any(sign.isnumeric() for sign in word) or _UNSPACED.search(word):
        return True
    if not letters:
        return any(unicodedata.category(sign) == "So" and sign > "\u2000" for sign in word)
    if letters == 1:
        return any(sign in "+-#" for sign in word)
    return word.casefold().replace("’", "'") not in _STOP_WORDS or word.isupper()


# Words.


def _whole_words(text: str, start: int, end: int) -> Span:
    first, last = max(0, start - MOST), min(len(text), end + MOST)
    before, behind = start, end
    while before > first and _joined(text, before):
        before -= 1
    while behind < last and _joined(text, behind):
        behind += 1
    # What is longer than a word can be is not shown whole.
    start = start if before == first > 0 and _joined(text, before) else before
    end = end if behind == last < len(text) and _joined(text, behind) else behind
    for _ in range(2):  # "--global"
        if _leads(text, start):
            start -= 1
    if _ABBREVIATION.fullmatch(text, max(start, end - MOST), end) and text[end : end + 1] == ".":
        return start, end + 1
    found = _BEHIND_WORD.match(text, end) if text[end - 1 : end].isalnum() else None
    return start, found.end() if found else end


def _joined(text: str, at: int) -> bool:
    """Whether ``text[at - 1]`` and ``text[at]``, which are there, belong to one word or one sign."""
    before, after = text[at - 1], text[at]
    if before.isspace() or after.isspace():
        return False
    if _extends(after) or before == _ZWJ:
        return True
    if _wordy(after):
        base = _base(text, at)
        if base < 0:
            return False
        if _wordy(text[base]):
            return _alike(text[base], after)
        return base > 0 and _connects(text, base, after)
    return at + 1 < len(text) and _base(text, at) >= 0 and _connects(text, at, text[at + 1])


def _connects(text: str, at: int, after: str) -> bool:
    """Whether the sign at ``at`` connects what stands before it with the letter or digit ``after``."""
    connector, base = text[at], _base(text, at)
    if base < 0 or not _wordy(text[base]) or not _wordy(after):
        return False
    before = text[base]
    if _UNSPACED.match(before) or _UNSPACED.match(after):
        return False
    digits = before.isnumeric(), after.isnumeric()
    if connector in _HYPHENS:
        return not all(digits)
    return connector in _MID_NUMBER if all(digits) else connector in _MID_LETTER and not any(digits)


def _base(text: str, at: int) -> int:
    """The place of the last sign before ``at`` that is no mark on another; -1 for none near."""
    for place in range(at - 1, max(-1, at - 9), -1):
        if not _extends(text[place]):
            return place
    return -1


def _extends(sign: str) -> bool:
    """Whether ``sign`` is a mark upon the one before, or invisible within a word."""
    if sign.isascii():
        return False
    if "\U0001f3fb" <= sign <= "\U0001f3ff":  # colours of skin
        return True
    category = unicodedata.category(sign)
    return category[0] == "M" or (category == "Cf" and sign != _ZWSP)


def _wordy(sign: str) -> bool:
    return sign.isalnum() or sign == "_"


def _alike(before: str, after: str) -> bool:
    """Whether two letters or digits belong to one word: not in a script without blanks, but for katakana."""
    if _UNSPACED.match(before) or _UNSPACED.match(after):
        return bool(_KATAKANA.match(before) and _KATAKANA.match(after))
    return True


def _leads(text: str, start: int) -> bool:
    """Whether the sign before ``start`` belongs to the word there: nothing but a blank stands before it."""
    if start < 1 or text[start - 1] not in _BEFORE_WORD:
        return False
    follows = text[start : start + 1]
    if not (_wordy(follows) or (follows in _BEFORE_WORD and follows == text[start - 1] == "-")):
        return False
    if start < 2:
        return True
    before = text[start - 2]
    return before.isspace() or before in _OPENING or (before == text[start - 1] == "-")


# Numbers.


def _with_unit(text: str, start: int, end: int) -> Span:
    if (found := _UNIT_BEHIND.match(text, end)) and _ENDS_WITH_NUMBER.search(
        text[start:end][-MOST:]
    ):
        end = found.end()
    if (unit := _BEGINS_WITH_UNIT.match(text, start)) and unit.end() <= end:
        number = _NUMBER_BEFORE.search(text[max(0, start - MOST) : start])
        if number:
            start -= len(number[1])
    return start, end


# Phrases.


def _whole_phrase(text: str, start: int, end: int) -> Span:
    start, end = _closed(text, start, end)
    inner = text[start:end]
    if any(sign in _PAIRS or sign in _PAIRS.values() for sign in inner):
        return start, end
    for opening, closing in _QUOTES.items():
        before = text.rfind(opening, max(0, start - MOST), start)
        behind = text.find(closing, end, end + MOST)
        if before < 0 or behind < 0 or closing in text[before + 1 : start]:
            continue
        if opening == closing and not _is_quoted(text, before, behind):
            continue
        phrase = text[before + 1 : behind]
        if len(phrase.split()) <= _PHRASE_WORDS and not _STOPS.search(phrase):
            return before + 1, behind
    return start, end


def _is_quoted(text: str, before: int, behind: int) -> bool:
    """Whether the straight quotes at ``before`` and ``behind`` open and close, by what is around them."""
    opens = not _wordy(text[before - 1 : before] or " ") and not text[before + 1].isspace()
    return (
        opens
        and not text[behind - 1].isspace()
        and not _wordy(text[behind + 1 : behind + 2] or " ")
    )


def _closed(text: str, start: int, end: int) -> Span:
    """The span with the partner of a bracket or quote that is alone in it; without that if none is near."""
    for opening, closing in _PAIRS.items():
        part = text[start:end]
        if opening == closing:
            if part.count(opening) % 2 == 0:
                continue
            at = start + part.rfind(opening)
            opens = at == 0 or not (_wordy(text[at - 1]) or text[at - 1] in _AROUND)
            excess = 1 if opens else -1
        else:
            excess = part.count(opening) - part.count(closing)
        if excess > 0:
            partner = text.find(closing, end, end + MOST)
            if partner >= 0 and not _STOPS.search(text[end:partner]):
                end = partner + 1
            elif part.endswith(opening) or part.startswith(opening):
                start, end = _without(part, opening, start, end)
        elif excess < 0:
            partner = text.rfind(opening, max(0, start - MOST), start)
            if partner >= 0 and not _STOPS.search(text[partner:start]):
                start = partner
            elif part.endswith(closing) or part.startswith(closing):
                start, end = _without(part, closing, start, end)
    return start, end


def _without(part: str, sign: str, start: int, end: int) -> Span:
    """The span of ``part`` without the ``sign`` at one of its ends."""
    return (start, end - 1) if part.endswith(sign) else (start + 1, end)
