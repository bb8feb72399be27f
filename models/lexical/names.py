"""Names of more than a word, whole and in parts: identifiers, part numbers, versions, paths, addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lurcher.folding import WORD

# A word with those that signs join to it, and what makes "C++", "C#" and "Ca2+".
_JOINED = r"::|==|\+\+|:/{2,3}|:\\|->|/[?#~.]|[-./\\:+#@&=%?~]|(?<=\d),(?=\d)"
_TOKEN = re.compile(rf"{WORD.pattern}(?:(?:{_JOINED}){WORD.pattern})*+(?:[+#]{{1,2}}(?![\w+#]))?")
_ASCII_TOKEN = re.compile(_TOKEN.pattern.replace(WORD.pattern, r"\w+"), re.ASCII)
_JOINTS = re.compile(r"[-./\\:+#@&=%?~,_>]+")
# A path or an address joins names with dots, and those join names with dashes.
_WIDE_JOINTS = re.compile(r"->|[/\\:@&=%?~#]+")
_NARROW_JOINTS = re.compile(r"[.,+]+")
_DOTTED_NAME = re.compile(r"""(?:^|(?<=[(\["'`<]))\.[^\W\d_]\w*""")  # .NET, .gitignore
# Parts of a name by its capitals and digits; "URLs" is one.
_PARTS = re.compile(r"\d+|[A-Z]{2,}s(?![a-z])|[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

# A longer word is no name; it is encoded data.
_MOST_OF_A_NAME = 64


def words_and_names(text: str) -> tuple[list[str], list[str]]:
    """The words of ``text``, which is folded, and the names that signs join them to.

    A name is as it is written. Of "see a/b_c.py" the words are "see", "a", "b", "c" and "py", and the names
    "a/b_c.py", "b_c.py" and "b_c". Linear in the length of ``text``.
    """
    words: list[str] = []
    names: list[str] = []
    for token in (_ASCII_TOKEN if text.isascii() else _TOKEN).findall(text):
        parts = [part for part in _JOINTS.split(token) if part]
        words += parts
        if parts and parts != [token]:
            names += _names(token, parts)
    return words, names + _DOTTED_NAME.findall(text)


def _names(token: str, parts: list[str]) -> Iterator[str]:
    """``token``, whose words are ``parts``, and the names in it that have joints themselves.

    Of "https://a.org/b-c.py" these are "a.org", "b-c.py" and "b-c".
    """
    whole = _bare(token)
    letters = "".join(parts)
    if (
        len(letters) == len(parts) > 1
        and letters.isalpha()
        and set(_JOINTS.findall(whole)) == {"."}
    ):
        yield letters  # U.S.A. is USA
        return
    words = set(parts)
    for wide in (whole, *_WIDE_JOINTS.split(whole)):
        if wide and wide not in words:
            yield wide
    for wide in _WIDE_JOINTS.split(whole):
        for narrow in map(_bare, _NARROW_JOINTS.split(wide)):
            if narrow and narrow not in words:
                yield narrow


def _bare(name: str) -> str:
    """``name`` without underscores around it, which mark it up, unless there are two on each side."""
    bare = name.strip("_")
    return name if bare and name.startswith("__") and name.endswith("__") else bare


def parts_of_names(text: str) -> list[str]:
    """The parts of camel case, and of letters and digits, in the ASCII words of ``text``, in small letters.

    ``text`` is not folded. Letters that stand alone are left out.
    """
    found: list[str] = []
    for word in WORD.findall(text):
        if not word.isascii() or len(word) > _MOST_OF_A_NAME:
            continue
        for name in word.split("_"):
            parts = _PARTS.findall(name)
            if len(parts) > 1:
                found += [part.lower() for part in parts if len(part) > 1 or part.isdigit()]
    return found


def is_name(term: str) -> bool:
    """Whether ``term`` is a name with its signs, such as "max_length" or "c++"."""
    return _JOINTS.search(term) is not None
