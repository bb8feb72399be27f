"""XHTML as HTML: what an XML parser reads differently, written so that an HTML parser reads it the same."""

from __future__ import annotations

import html
import re

# No match reads past a "<", which XML forbids in tags; so each character is read once or twice.
_PIECE = re.compile(
    r"""<!--|<!\[CDATA\[|<([a-zA-Z_][^\s/<>]*+)((?:[^<>=/]++|/(?!>)|=\s*+(?:"[^"<]*+"|'[^'<]*+')?+)*+)/>"""
)
_ENDS = {"<!--": "-->", "<![CDATA[": "]]>"}

# These have no end tag in HTML either.
_NO_END = "area base br col embed hr img input link meta param source track wbr"
_EMPTY = frozenset(_NO_END.split())


def to_html(page: str) -> str:
    """The page with an end tag for each ``<x/>``, and CDATA as text. Comments stay as they are."""
    parts: list[str] = []
    at = 0
    while piece := _PIECE.search(page, at):
        parts.append(page[at : piece.start()])
        mark = piece[0]
        if mark in _ENDS:
            end = page.find(_ENDS[mark], piece.end())
            end = len(page) if end < 0 else end
            at = min(end + 3, len(page))
            parts.append(
                page[piece.start() : at] if mark == "<!--" else html.escape(page[piece.end() : end])
            )
        else:
            name = piece[1]
            parts.append(mark if name.lower() in _EMPTY else f"<{name}{piece[2]}></{name}>")
            at = piece.end()
    return "".join([*parts, page[at:]])
