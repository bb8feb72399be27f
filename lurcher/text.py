"""Texts: what can be encoded, what counts as equal, and where sentences end.

Sentences follow Unicode's rules (UAX #29, section 5) where they need no dictionary, with these departures: a
Latin mark ends a sentence only if white space follows, so that "3.50", "e.g." and addresses stay whole; no
sentence ends after an initial; a line's end ends one; and so does a blank in Thai and Lao, which have no
marks, if it comes late enough not to stand between phrases. Libraries were tried and left: sentencex and
pysbd take time with the square of a text in Chinese, nupunkt with that of quotes, segtok with that of
"x. y "; syntok knows no mark but Latin ones, ICU no initials, for 42 MB.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

# Sentence terminals (Unicode's Sentence_Break=STerm) of scripts in use. White space has to follow only Latin
# ones, among them the ellipsis, which Unicode does not count.
_LATIN = ".!?…‼‽⁇⁈⁉"
_OTHERS = (
    "\u0589\u061d-\u061f\u06d4\u0700-\u0702\u07f9\u0964\u0965\u104a\u104b\u1362\u1367\u1368\u166e"
    "\u1735\u1736\u17d4\u17d5\u1803\u1809\u1944\u1945\u1aa8-\u1aab\u1b5a\u1b5b\u1b5e\u1b5f\u1b7d-\u1b7f"
    "\u1c3b\u1c3c\u1c7e\u1c7f\u2cf9-\u2cfb\u3002\ua4ff\ua60e\ua60f\ua6f3\ua6f7\ua876\ua877\ua8ce\ua8cf"
    "\ua92f\ua9c8\ua9c9\uaa5d-\uaa5f\uaaf0\uaaf1\uabeb\ufe12\ufe15\ufe16\uff01\uff1f\uff61"
)
_CLOSERS = "\"'”’)\\]}»›」』】）〉》］｝"
# No part can fail after it has begun, so that a run of marks is read once.
_STOP = re.compile(f"([{_LATIN}{_OTHERS}]+)[{_CLOSERS}]*")
_OTHER = re.compile(f"[{_OTHERS}]")
_LINE_END = re.compile("[\n\r\x85\u2028\u2029]+")
_VISIBLE = re.compile(r"\S")

# Scripts that put no blank between words: Han, kana, Thai, Lao, Burmese and Khmer. For a character class.
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u30ff\u3100-\u312f\u31a0-\u31bf\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003ffff"
)
_UNSPACED_SIGN = re.compile(f"[{UNSPACED}]")
_THAI_BLANK = re.compile(r"(?<=[\u0e00-\u0eff])\s++(?=[\u0e00-\u0eff])")
# In code points; after fewer, a blank in Thai or Lao is taken to stand between phrases.
_THAI_SENTENCE = 40

# What Unicode counts among letters, marks and symbols though it shows nothing: joiner and fillers, variation
# selectors, the empty Braille pattern.
_UNSEEN = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
    + "".join(map(chr, [*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
)


def lone_surrogate(text: str) -> int | None:
    """The position in code points of the first lone surrogate in ``text``, or None: no UTF-8 can hold one."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return None


def is_blank(text: str) -> bool:
    """Whether ``text`` shows nothing: it has only white space, control and zero-width characters."""
    return all(
        sign.isspace() or unicodedata.category(sign) in ("Cc", "Cf") or sign in _UNSEEN
        for sign in text
    )


def normalised(text: str) -> str:
    """``text`` as known queries are compared: runs of white space as one space, case folded."""
    return " ".join(text.split()).casefold()


def cut(text: str, most: int) -> str:
    """``text``, with an ellipsis for what is beyond ``most`` characters, which it has at most."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def sentences(text: str) -> list[tuple[int, int]]:
    """Start and end of each sentence of ``text``, in code points, without the blanks around it.

    They ascend, do not overlap and hold all that is not blank. A line's end ends a sentence. Linear in the
    length of ``text``.
    """
    cuts = {0, len(text), *sentence_ends(text)}
    cuts.update(line.end() for line in _LINE_END.finditer(text))
    found: list[tuple[int, int]] = []
    start = 0
    for end in sorted(cuts):
        part = text[start:end].rstrip()
        if first := _VISIBLE.search(part):
            found.extend(_thai_sentences(text, start + first.start(), start + len(part)))
        start = end
    return found


def _thai_sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The sentence of ``text`` from ``start`` to ``end``, cut at blanks of Thai and Lao."""
    for blank in _THAI_BLANK.finditer(text, start, end):
        if blank.start() - start >= _THAI_SENTENCE:
            yield start, blank.start()
            start = blank.end()
    yield start, end


def sentence_ends(text: str) -> Iterator[int]:
    """Where sentences of ``text`` end by their marks, in code points, ascending; its lines do not count."""
    for stop in _STOP.finditer(text):
        if _ends_sentence(text, stop):
            yield stop.end()


def _ends_sentence(text: str, stop: re.Match[str]) -> bool:
    """Whether a sentence ends at the marks of ``stop``."""
    marks, end = stop[1], stop.end()
    if _OTHER.search(marks):
        return True
    following = _VISIBLE.search(text, end)
    if following is None:
        return True
    if following.start() == end:
        return False
    if marks[0] != ".":
        return True
    # A small letter goes on after "e.g."; and "J. S. Bach" is one name.
    if following[0].islower():
        return False
    return len(marks) > 1 or not _follows_initial(text, stop.start())


def _follows_initial(text: str, at: int) -> bool:
    """Whether one letter stands alone before ``at``; a sign of a script without blanks is a word."""
    if not at or not text[at - 1].isalpha() or _UNSPACED_SIGN.match(text[at - 1]):
        return False
    before = text[at - 2] if at > 1 else " "
    return not before.isalnum() and unicodedata.category(before)[0] != "M"
