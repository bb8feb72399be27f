"""What of a Markdown file is not to be read: comments, scripts, and the bytes of images written into it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lurcher.index_builder.corpus.markup import Range

# A shorter one in a code block is an example.
_LONG_URI = 200

_URI = (
    r"data:(?:(?:image|audio|video|font)/[\w.+-]++[;,]"
    r"|[\w.+-]++/[\w.+-]++(?:;(?!base64,)[\w.=+-]++)*+;base64,)[^\s)>\"'`]*+"
)
_URIS = re.compile(_URI, re.IGNORECASE)
_IN_PROSE = re.compile(
    rf"\\.|(?P<ticks>`++)|(?P<open><!--|{{/\*)|{_URI}", re.IGNORECASE | re.DOTALL
)
_IN_HTML = re.compile(rf"(?P<open><!--|{{/\*|<(?:script|style)(?=[\s>/]))|{_URI}", re.IGNORECASE)
# Any of the marks above; most paragraphs have none, and need no closer look.
_MARKS = re.compile(r"<!--|data:|\{/\*|<s(?:cript|tyle)", re.IGNORECASE)
_TICKS = re.compile("`+")
_CLOSING = {
    "<!--": re.compile("-->"),
    "{/*": re.compile(r"\*/\}"),
    "<script": re.compile(r"</script\s*+>", re.IGNORECASE),
    "<style": re.compile(r"</style\s*+>", re.IGNORECASE),
}


def next_mark(source: str, start: int) -> int:
    """Where the first mark from ``start`` on is that could begin something hidden; the length if none is."""
    mark = _MARKS.search(source, start)
    return mark.start() if mark else len(source)


def hidden_in_code(source: str, start: int, end: int) -> Iterator[Range]:
    """The long data URIs in a block of code, from ``start`` to ``end``."""
    for uri in _URIS.finditer(source, start, end):
        if uri.end() - uri.start() >= _LONG_URI:
            yield uri.span()


def hidden_in_html(source: str, start: int, end: int, mdx: bool) -> Iterator[Range]:
    """Comments, scripts, styles and data URIs in a block of HTML; what is never closed ends with it."""
    return _hidden(source, start, end, _IN_HTML, mdx)


def hidden_in_prose(source: str, start: int, end: int, mdx: bool) -> Iterator[Range]:
    """Comments and data URIs in a paragraph, outside its code; a comment that is never closed is text."""
    return _hidden(source, start, end, _IN_PROSE, mdx)


def _hidden(
    source: str, start: int, end: int, pattern: re.Pattern[str], mdx: bool
) -> Iterator[Range]:
    prose = pattern is _IN_PROSE
    closes = _Closes(source, end)
    code = _CodeSpans(source, start, end) if prose else None
    at = start
    while mark := pattern.search(source, at, end):
        at = mark.end()
        opening = (mark["open"] or "").lower()
        if opening == "{/*" and not mdx:
            continue
        if opening:
            # "<!-->" is a whole comment.
            after = mark.start() + 2 if opening == "<!--" else at
            closed = closes.find(opening, after)
            if closed is None and prose:
                continue
            at = end if closed is None else closed
            yield mark.start(), at
        elif code and mark["ticks"]:
            at = code.end(mark.start("ticks"), at)
        elif mark[0][0] != "\\":
            first, at = _whole_uri(source, mark.start(), at, end)
            yield first, at


def _whole_uri(source: str, start: int, end: int, limit: int) -> Range:
    """The data URI with what is around it: up to its quote, or with its parentheses."""
    before = source[start - 1 : start]
    if before and before in "\"'":
        quote = source.find(before, end, limit)
        return start, max(quote, end)
    if before == "(" and source[end : min(end + 1, limit)] == ")":
        return start - 1, end + 1
    return start, end


class _Closes:
    """Finds what closes an opening mark; a mark that nothing closes is looked for once."""

    def __init__(self, source: str, end: int) -> None:
        self._source = source
        self._end = end
        self._missing: set[str] = set()

    def find(self, opening: str, at: int) -> int | None:
        """Where the mark that closes ``opening`` ends, or None."""
        if opening in self._missing:
            return None
        closing = _CLOSING[opening].search(self._source, at, self._end)
        if closing is None:
            self._missing.add(opening)
            return None
        return closing.end()


class _CodeSpans:
    """Finds the ends of code spans: the next run of as many backticks."""

    def __init__(self, source: str, start: int, end: int) -> None:
        self._runs: dict[int, list[int]] = {}
        for run in _TICKS.finditer(source, start, end):
            self._runs.setdefault(run.end() - run.start(), []).append(run.start())
        for starts in self._runs.values():
            starts.reverse()

    def end(self, start: int, after: int) -> int:
        """Where the span opened by the backticks from ``start`` to ``after`` ends; ``after`` if it is none.

        To be asked with rising ``start``.
        """
        width = after - start
        starts = self._runs.get(width, [])
        while starts and starts[-1] < after:
            starts.pop()
        return starts[-1] + width if starts else after
