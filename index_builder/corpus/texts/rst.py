"""reStructuredText: the file's own text with the sections in it, told by the lines under headings."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from lurcher.index_builder.corpus.markup import (
    MAX_HEADING,
    Heading,
    Markup,
    Range,
    one_line,
    outline,
)

_LINE = re.compile(r"[^\r\n]*+(?:\r\n?|\n|\Z)")
_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1*+$")
# Lines that begin another thing than a paragraph, so that a line below them makes no heading.
_NO_TITLE = re.compile(r"(?:[-+*•‣⁃]|\.\.|__|>>>|\|)(?:\s|$)|:[^:]++:(?:\s|$)")
_EXPLICIT = re.compile(r"\.\.(?:\s|$)")
# What is no comment: targets, footnotes, substitutions, and directives.
_MARKED = re.compile(r"\.\.\s++(?:_|__|\[[^\]]++\]\s|\||[\w.+-]++(?::[\w.+-]++)*+\s?::)")
_ROLE = re.compile(r"(?::[\w.+-]++)++:(?=`)")
_QUOTED = re.compile(r"``([^`]*+)``|`([^`]*+)`_{0,2}")
_TARGET = re.compile(r"\s*+<[^<>]*+>$")
_STRONG = re.compile(r"(?<!\w)\*\*?+(?=\S)([^*]*+)\*\*?+(?!\w)")
_ESCAPED = re.compile(r"\\(.)")


def read_rst(source: str) -> Markup:
    """The source with a section for each heading; the title is the first one. Comments are hidden."""
    lines = [_Line(one.start(), one[0].rstrip()) for one in _LINE.finditer(source) if one[0]]
    headings = list(_headings(lines))
    title = headings[0].text if headings else ""
    return Markup(title, source, outline(title, headings), (), tuple(_comments(lines, len(source))))


class _Line:
    """A line of the source: where it starts, and its text without white space at its end."""

    __slots__ = ("start", "text")

    def __init__(self, start: int, text: str) -> None:
        self.start = start
        self.text = text


def _headings(lines: list[_Line]) -> Iterator[Heading]:
    levels: dict[tuple[str, bool], int] = {}
    at = 0
    before = ""  # the text of the line before
    while at < len(lines):
        one, two, three = (lines[at + i].text if at + i < len(lines) else "" for i in range(3))
        begins = not before.strip()
        over = begins and _is_over(one, two, three)
        if over or (begins and _is_under(one, two)):
            title = two.strip() if over else one
            # A heading's level is the order in which its kind of line first came.
            level = levels.setdefault((one[0] if over else two[0], over), len(levels) + 1)
            yield Heading(lines[at].start, level, shown_text(title))
            at += 3 if over else 2
            before = ""
        else:
            before = one
            at += 1


def _is_over(over: str, title: str, under: str) -> bool:
    return (
        over == under
        and bool(_ADORNMENT.match(over))
        and 0 < len(title) <= MAX_HEADING
        and bool(title.strip())
        and not _ADORNMENT.match(title)
        and _is_long(over, title)
    )


def _is_under(title: str, under: str) -> bool:
    return (
        0 < len(title) <= MAX_HEADING
        and not title[0].isspace()
        and bool(_ADORNMENT.match(under))
        and not _ADORNMENT.match(title)
        and not _NO_TITLE.match(title)
        and _is_long(under, title)
    )


def _is_long(line: str, title: str) -> bool:
    """Whether the line is a heading's: four characters will do, as docutils has it."""
    wide = sum(unicodedata.east_asian_width(one) in "WF" for one in title.strip())
    return len(line) >= 4 or len(line) >= len(title.strip()) + wide


def shown_text(title: str) -> str:
    """A heading without roles, quotes, targets of links, emphasis and backslashes."""
    bare = _QUOTED.sub(_unquoted, _ROLE.sub("", title))
    return one_line(_ESCAPED.sub(r"\1", _STRONG.sub(r"\1", bare)))


def _unquoted(quoted: re.Match[str]) -> str:
    if quoted[1] is not None:
        return quoted[1]
    text = quoted[2]
    return _TARGET.sub("", text) or text.strip("<>")


def _comments(lines: list[_Line], length: int) -> Iterator[Range]:
    """Start and end of each comment: a ``..`` that marks nothing, and the indented lines below it."""
    at = 0
    while at < len(lines):
        first = lines[at]
        at += 1
        if not _EXPLICIT.match(first.text) or _MARKED.match(first.text):
            continue
        if first.text == ".." and at < len(lines) and not lines[at].text.strip():
            continue  # an empty comment ends with the blank line below it
        while at < len(lines) and (not lines[at].text or lines[at].text[0].isspace()):
            at += 1
        yield first.start, lines[at].start if at < len(lines) else length
