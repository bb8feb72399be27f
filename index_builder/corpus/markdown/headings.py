"""The text and the anchor of a heading in a Markdown file, be it written in Markdown or in HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from lurcher.index_builder.corpus.html.page import read_html
from lurcher.index_builder.corpus.markup import MAX_HEADING, Heading, Range, one_line
from lurcher.index_builder.corpus.passage import BadRecord

_PARSER = MarkdownIt("commonmark").enable("strikethrough")

# "## Use {#use}", in MDX "{/* #use */}", in Python-Markdown "{: #use .class }".
_ANCHOR = re.compile(r"\{(?::|/\*)?[ \t]*+#([^\s{}]++)[^{}]*+\}[ \t]*+$")
# Links take time with the square of the brackets; a heading with more is shown as it is written.
_MAX_BRACKETS = 50
# Without any of these nothing in a heading is markup.
_MARKS = re.compile(r"[\\`*_~<&!\[]")
_TAG = re.compile(r"<(/?)h([1-6])(?=[\s>])[^<>]*+>", re.IGNORECASE)


def split_anchor(content: str) -> tuple[str, str]:
    """A heading without the anchor that stands at its end, and that anchor or ""."""
    found = _ANCHOR.search(content)
    return (content[: found.start()], found[1]) if found else (content, "")


def heading_text(content: str, references: dict[str, Any]) -> str:
    """What is shown of a heading: no marks, links, tags or comments.

    Images are left out; of a heading that is nothing else, their descriptions are its text.
    """
    if not _MARKS.search(content) or content.count("[") > _MAX_BRACKETS:
        return one_line(content)
    tokens = _PARSER.parseInline(content, references)[0].children or []
    shown = one_line("".join(_shown(token) for token in tokens))
    return shown or one_line(" ".join(token.content for token in _images(tokens)))


def _shown(token: Token) -> str:
    match token.type:
        case "text" | "code_inline" | "text_special":
            return token.content
        case "softbreak" | "hardbreak":
            return " "
        case _:
            return ""


def _images(tokens: Sequence[Token]) -> Iterator[Token]:
    return (token for token in tokens if token.type == "image")


class HtmlHeadings:
    """The headings among the HTML of a Markdown file; iterate to get them, without slugs."""

    def __init__(self, source: str, start: int, end: int, hidden: Sequence[Range]) -> None:
        self._start = start
        # Headings in comments are none; all offsets stay.
        parts, at = [], start
        for first, last in hidden:
            parts += [source[at:first], " " * (last - first)]
            at = last
        self._html = "".join([*parts, source[at:end]])

    def __iter__(self) -> Iterator[Heading]:
        opened: re.Match[str] | None = None
        for tag in _TAG.finditer(self._html):
            if opened and (tag[1] == "" or tag[2] == opened[2]):
                yield from self._heading(opened, tag.start())
                opened = None
            if not tag[1]:
                opened = tag
        if opened:
            yield from self._heading(opened, len(self._html))

    def _heading(self, opened: re.Match[str], end: int) -> Iterator[Heading]:
        html = self._html[opened.start() : end]
        if len(html) > 4 * MAX_HEADING:
            return
        try:
            page = read_html(html)
        except BadRecord:
            return
        if page.sections:
            start = self._start + opened.start()
            yield Heading(start, int(opened[2]), page.title, page.sections[0].anchor)
