"""Words as they are compared: the same whether a letter is composed, accented, pointed, wide or a capital.

Folded text has other offsets than the text it was made from, so it is only ever compared.
"""

from __future__ import annotations

import re
import unicodedata

# Marks that a writer may leave out: accents of Latin, Greek and Cyrillic, Hebrew points, Arabic and Syriac
# vowels, tatweel; and what is invisible. Not the signs of a script that cannot do without: Indic vowels, Thai
# tones, the voicing marks of kana.
_OPTIONAL_MARKS = (
    (0x0300, 0x036F), (0x0483, 0x0487), (0x0591, 0x05BD), (0x05BF, 0x05BF), (0x05C1, 0x05C2),
    (0x05C4, 0x05C5), (0x05C7, 0x05C7), (0x0610, 0x061A), (0x0640, 0x0640), (0x064B, 0x065F),
    (0x0670, 0x0670), (0x06D6, 0x06DC), (0x06DF, 0x06E4), (0x06E7, 0x06E8), (0x06EA, 0x06ED),
    (0x0730, 0x074A), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE20, 0xFE2F),
)  # fmt: skip
# Soft hyphen, joiners, marks of direction, word joiner, variation selectors, byte order mark. Not the
# zero-width space, which ends a word.
_INVISIBLE = (
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x180B, 0x180F), (0x200C, 0x200F),
    (0x202A, 0x202E), (0x2060, 0x2069), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xE0100, 0xE01EF),
)  # fmt: skip
_FOLDED: dict[int, str | None] = {
    sign: None for first, last in _OPTIONAL_MARKS + _INVISIBLE for sign in range(first, last + 1)
}
_FOLDED[ord("ı")] = "i"  # so that a Turkish word is found in capitals, too: "I" is its capital


def _marks(first: int, end: int) -> str:
    """The marks among the code points from ``first`` to before ``end``, as ranges of a character class."""
    found = [at for at in range(first, end) if unicodedata.category(chr(at))[0] == "M"]
    known = set(found)
    starts = [at for at in found if at - 1 not in known]
    ends = [at for at in found if at + 1 not in known]
    return "".join(f"{chr(one)}-{chr(other)}" for one, other in zip(starts, ends, strict=True))


_MARKS = _marks(0x300, 0x10000)
# Letters, digits and the marks on them; Python's own \w leaves out marks, such as vowels of Hindi. Beyond the
# basic plane whole blocks of scripts with marks: a class with many parts there is searched one by one.
SIGNS = rf"\w{_MARKS}\U00010a01-\U00011fff\U0001e000-\U0001e95f"
WORD = re.compile(f"[{SIGNS}]+")
# No language puts more than 30 marks in a row (UAX #15, "Stream-Safe Text Format"), and Python sorts a run of
# them in time quadratic in its length.
_MANY_MARKS = re.compile(f"([{_MARKS}]{{30}})[{_MARKS}]++")
_EVERY_MARK = _MARKS + _marks(0x10000, 0x20000)
_MANY_OF_EVERY_MARK = re.compile(f"([{_EVERY_MARK}]{{30}})[{_EVERY_MARK}]++")


def folded(text: str) -> str:
    """``text`` by Unicode's compatibility forms, without case, accents, points and invisible signs.

    "Straße" and "STRASSE", "café" and "cafe", "ﬁle" and "file", "ＡＢＣ" and "abc" are alike.
    """
    if text.isascii():
        return text.casefold()
    plain = text.translate(_FOLDED)
    many = _MANY_MARKS if max(plain, default="") < "\U00010000" else _MANY_OF_EVERY_MARK
    decomposed = unicodedata.normalize("NFKD", many.sub(r"\1", plain))
    # Before case is folded, which makes a letter of the iota below a Greek one; and after, as it makes marks.
    bare = decomposed.translate(_FOLDED).casefold().translate(_FOLDED)
    return unicodedata.normalize("NFKC", bare)


def word_set(words: str) -> frozenset[str]:
    """The ``words``, separated by blanks, as a set."""
    return frozenset(words.split())
