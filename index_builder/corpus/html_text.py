"""The readable text of an HTML page, parsed by lexbor as browsers parse it (WHATWG HTML)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from lurcher.index_builder.corpus.passage import BadRecord

_DROPPED = frozenset({"script", "style", "template", "noscript", "iframe", "noembed", "noframes"})

_PARAGRAPHS = """
    address article aside blockquote body caption center dd details dialog dir div dl dt fieldset
    figcaption figure footer form frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html legend li
    main menu nav ol option p search section summary table tbody tfoot thead title tr ul"""
_PREFORMATTED = frozenset({"pre", "textarea", "listing", "xmp", "plaintext"})
_BLOCKS = frozenset(_PARAGRAPHS.split()) | _PREFORMATTED

# They separate words without ending a paragraph.
_GAPS = frozenset({"br", "td", "th"})

# HTML's rules take time with the square of each of these; no page that people read comes near.
_MAX_OPEN = 10_000
_MAX_ATTRIBUTES = 5_000
_TAG = re.compile(r"""<(/?)([a-zA-Z][^\s/>]*+)((?:[^>=]++|=\s*+(?:"[^"]*+"|'[^']*+')?+)*+)""")
_QUOTED = re.compile(r""""[^"]*+"|'[^']*+'""")
# Only in these may an element end with "/>".
_DRAWINGS = ("svg", "math")
# The parser closes these by itself, or they have no end.
_UNTRACKED = """
    a area base body br button col colgroup dd dt embed h1 h2 h3 h4 h5 h6 head hr html img input li
    link meta nobr optgroup option p param rb rp rt rtc select source tbody td tfoot th thead tr
    track wbr"""
_SELF_CLOSED = frozenset(_UNTRACKED.split())


def extract(page: str) -> tuple[str, str]:
    """Title and text of the page.

    Blank lines separate paragraphs; other white space is one space, except in preformatted text, which
    keeps its lines. Malformed pages are read as browsers read them. Raises BadRecord for a page with
    so many nested elements, or attributes of one element, that parsing it would take minutes.
    """
    _check_size(page)
    root = LexborHTMLParser(page, scripting=True).root
    text = _Text()
    for node, entered in _walk(root) if root is not None else ():
        text.enter(node) if entered else text.leave(node)
    return text.title, "\n\n".join(text.paragraphs)


def _walk(root: LexborNode) -> Iterator[tuple[LexborNode, bool]]:
    """Each node when it is entered (True) and when it is left (False), without what is dropped."""
    node, depth = root, 0
    while True:
        yield node, True
        child = None if node.tag in _DROPPED else node.child
        if child is not None:
            node, depth = child, depth + 1
            continue
        yield node, False
        while depth and node.next is None:
            parent = node.parent
            if parent is None:
                return
            node, depth = parent, depth - 1
            yield node, False
        following = node.next
        if not depth or following is None:
            return
        node = following


class _Text:
    """Collects the title and the paragraphs of a walk over a page."""

    def __init__(self) -> None:
        self.title = ""
        self.paragraphs: list[str] = []
        self._parts: list[str] = []
        self._in_title = False
        self._preformatted = 0
        self._drawings = 0

    def enter(self, node: LexborNode) -> None:
        """Begin a node: add its text, or end the paragraph before it."""
        tag = node.tag
        if node.is_text_node:
            self._parts.append(node.text_content or "")
        elif tag in _BLOCKS:
            self._end_paragraph()
            self._preformatted += tag in _PREFORMATTED
            self._in_title = tag == "title" and not self._drawings
        elif tag in _GAPS:
            self._parts.append("\n" if self._preformatted else " ")
        elif tag == "svg":
            self._drawings += 1

    def leave(self, node: LexborNode) -> None:
        """End a node."""
        tag = node.tag
        if tag in _BLOCKS:
            self._end_paragraph()
            self._preformatted -= tag in _PREFORMATTED
            self._in_title = False
        elif tag in _GAPS and tag != "br":
            self._parts.append(" ")
        elif tag == "svg":
            self._drawings -= 1

    def _end_paragraph(self) -> None:
        raw = "".join(self._parts)
        self._parts.clear()
        if self._preformatted:
            text = "\n".join(line.rstrip() for line in raw.split("\n")).strip("\n")
        else:
            text = " ".join(raw.split())
        if self._in_title:
            # A later title is not shown anywhere; a drawing's is text of the page.
            self.title = self.title or text
        elif text:
            self.paragraphs.append(text)


def _check_size(page: str) -> None:
    """Raise BadRecord if the page would take too long to parse, by an estimate of its nesting."""
    stack: list[str] = []
    opened: Counter[str] = Counter()
    for closing, name, rest in _TAG.findall(page):
        tag = name.lower()
        if len(rest) > _MAX_ATTRIBUTES and len(_QUOTED.sub("", rest).split()) > _MAX_ATTRIBUTES:
            raise BadRecord(f"an element <{tag[:20]}> has more than {_MAX_ATTRIBUTES:,} attributes")
        if tag in _SELF_CLOSED:
            continue
        if not closing:
            drawn = tag in _DRAWINGS or any(opened[one] for one in _DRAWINGS)
            if not (drawn and rest.endswith("/")):
                stack.append(tag)
                opened[tag] += 1
        elif opened[tag]:
            # What is still open inside ends with it.
            while (last := stack.pop()) != tag:
                opened[last] -= 1
            opened[tag] -= 1
        if len(stack) > _MAX_OPEN:
            raise BadRecord(f"more than {_MAX_OPEN:,} elements are nested or never closed")
