"""Markdown as CommonMark reads it, with tables: the file's own text, and the structure in it."""

from __future__ import annotations

import re
from itertools import pairwise

from markdown_it.token import Token

from lurcher.index_builder.corpus.markdown.front_matter import front_matter
from lurcher.index_builder.corpus.markdown.headings import HtmlHeadings, heading_text, split_anchor
from lurcher.index_builder.corpus.markdown.hidden import (
    hidden_in_code,
    hidden_in_html,
    hidden_in_prose,
    next_mark,
)
from lurcher.index_builder.corpus.markdown.parser import block_parser
from lurcher.index_builder.corpus.markdown.slugs import Slugs
from lurcher.index_builder.corpus.markup import MAX_HEADING, Heading, Markup, Range, outline

_PARSER = block_parser()

# What has no blocks in it.
_NAMES = "code_block definition fence heading_open html_block paragraph_open table"
_LEAVES = frozenset(_NAMES.split())

_LINE_END = re.compile(r"\r\n?|\n")
_WHOLE_HTML = re.compile(r"\s*<(?:pre|table)(?=[\s>])", re.IGNORECASE)
_MDX_COMMENT = re.compile(r"\{/\*.*?\*/\}")
_IMPORT = re.compile(r"(?:import|export)(?=[\s{*])")


def read_markdown(source: str, mdx: bool = False) -> Markup:
    """The source with its structure; ``mdx`` says that it imports, exports and comments as MDX does.

    The title is the front matter's, else the first heading. Headings in quotes and lists belong to these
    and begin no section. Hidden are front matter, comments, scripts, styles and images as data URIs.
    """
    after, title = front_matter(source)
    page = _Page(source, after, mdx)
    page.read()
    if not title and page.headings:
        title = page.headings[0].text
    hidden = [*([(0, after)] if after else []), *page.hidden]
    return Markup(title, source, outline(title, page.headings), tuple(page.blocks), tuple(hidden))


class _Page:
    """Collects headings, blocks and what is hidden from the tokens of a page."""

    def __init__(self, source: str, after: int, mdx: bool) -> None:
        self.headings: list[Heading] = []
        self.blocks: list[Range] = []
        self.hidden: list[Range] = []
        self._source = source
        self._mdx = mdx
        ends = [end.end() for end in _LINE_END.finditer(source, after)]
        self._lines = [after, *ends, len(source)]  # where each line starts, and the end
        self._mark = after  # nothing from what is read up to here is hidden
        self._slugs = Slugs()
        self._references: dict[str, object] = {}

    def read(self) -> None:
        """Fill the lists."""
        tokens = _PARSER.parse(self._source[self._lines[0] :], self._references)
        done = 0  # the line up to which all is read
        for token, inline in pairwise([*tokens, Token("", "", 0)]):
            if token.type not in _LEAVES or token.map is None or token.map[0] < done:
                continue
            first, last = token.map
            # What no token tells of, as it is too deep in lists and quotes to be parsed, is prose.
            self._hide_prose(done, first)
            if token.type == "paragraph_open" and not self._mdx:
                self._hide_prose(first, last)
            else:
                self._read_block(token, inline, *self._span(first, last))
            done = last
        self._hide_prose(done, len(self._lines) - 1)

    def _read_block(self, token: Token, inline: Token, start: int, end: int) -> None:
        if token.type in ("fence", "code_block"):
            self.blocks.append((start, end))
            self.hidden += hidden_in_code(self._source, start, end)
        elif token.type == "html_block":
            self._read_html(token, start, end)
        elif self._is_import(token, start):
            self.hidden.append((start, end))
        else:
            if token.type == "table":
                self.blocks.append((start, end))
            elif token.type == "heading_open":
                self._read_heading(token, inline.content, start)
            self._hide_prose(*token.map or (0, 0))

    def _read_heading(self, token: Token, content: str, start: int) -> None:
        if len(content) > MAX_HEADING:
            return
        content, anchor = split_anchor(content)
        if self._mdx:
            content = _MDX_COMMENT.sub("", content)
        text = heading_text(content, self._references)
        slug = anchor or self._slugs.add(text)
        if text and not token.level:
            self.headings.append(Heading(start, int(token.tag[1]), text, slug))

    def _read_html(self, token: Token, start: int, end: int) -> None:
        hidden = list(hidden_in_html(self._source, start, end, self._mdx))
        self.hidden += hidden
        if _WHOLE_HTML.match(self._source, start, end):
            self.blocks.append((start, end))
        for heading in HtmlHeadings(self._source, start, end, hidden):
            slug = heading.anchor or self._slugs.add(heading.text)
            if not token.level:
                self.headings.append(heading._replace(anchor=slug))

    def _is_import(self, token: Token, start: int) -> bool:
        return (
            self._mdx
            and token.type == "paragraph_open"
            and not token.level
            and _IMPORT.match(self._source, start) is not None
        )

    def _hide_prose(self, first: int, last: int) -> None:
        start, end = self._lines[first], self._lines[last]
        # Most paragraphs have no mark of anything hidden, and need no closer look.
        if self._mark < start:
            self._mark = next_mark(self._source, start)
        if self._mark < end:
            self.hidden += hidden_in_prose(self._source, start, end, self._mdx)

    def _span(self, first: int, last: int) -> Range:
        """Start of the first line and end of the one before ``last``, without its line end."""
        start, end = self._lines[first], self._lines[last]
        return start, start + len(self._source[start:end].rstrip("\r\n"))
