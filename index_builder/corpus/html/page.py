"""The readable text of an HTML page, parsed by lexbor as browsers parse it (WHATWG HTML)."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from lurcher.index_builder.corpus.html.anchors import Anchors
from lurcher.index_builder.corpus.html.blocks import Blocks
from lurcher.index_builder.corpus.html.hidden import hidden_elements
from lurcher.index_builder.corpus.html.limits import check_size
from lurcher.index_builder.corpus.markup import MAX_HEADING, Heading, Markup, outline

# Browsers show none of their text; that of a film is for browsers that cannot play it.
_DROPPED = frozenset(
    [
        "script",
        "style",
        "template",
        "noscript",
        "iframe",
        "noembed",
        "noframes",
        "datalist",
        "audio",
        "video",
    ]
)

_PARAGRAPHS = """
    address article aside blockquote body caption center dd details dialog dir div dl dt fieldset
    figcaption figure footer form frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html legend li
    main menu nav ol option p search section summary table tbody tfoot thead title tr ul"""
_PREFORMATTED = frozenset({"pre", "textarea", "listing", "xmp", "plaintext"})
_BLOCKS = frozenset(_PARAGRAPHS.split()) | _PREFORMATTED
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})

# They separate words without ending a paragraph.
_GAPS = frozenset({"br", "td", "th"})

# Boxes of their own, on a line with others.
_BOXES = frozenset(["button", "input", "label", "meter", "object", "output", "progress", "select"])

# In a drawing or a formula each is in a place of its own.
_DRAWINGS = frozenset({"svg", "math"})
_PLACED = frozenset({"text", "textpath", "desc", "mtd", "mtr", "annotation"})
_MOVES = frozenset({"x", "y", "dx", "dy"})  # what puts a part of a text elsewhere

# What documentation tools put behind a heading as a link to itself.
_PERMALINKS = frozenset({"¶", "#", "§", "🔗", "¶\ufe0e", "🔗\ufe0e"})


def read_html(page: str) -> Markup:
    """Text of the page with its structure; offsets index that text, not the page.

    Blank lines separate paragraphs; other white space is one space, except in preformatted text, which
    keeps its lines. Malformed pages are read as browsers read them. What the markup hides is not read. The
    title is the page's, else its first ``<h1>``, else its first heading. Raises BadRecord for a page with so
    many nested elements, or attributes of one element, that parsing it would take minutes.
    """
    check_size(page)
    root = LexborHTMLParser(page, scripting=True).root
    text = _Text()
    for node, entered in _walk(root, hidden_elements(root)) if root is not None else ():
        text.enter(node) if entered else text.leave(node)
    return text.markup()


def _walk(root: LexborNode, hidden: Collection[int]) -> Iterator[tuple[LexborNode, bool]]:
    """Each node when it is entered (True) and when it is left (False), without what is dropped or hidden."""
    node, depth = root, 0
    while True:
        skipped = node.mem_id in hidden
        if not skipped:
            yield node, True
        child = None if skipped or node.tag in _DROPPED else node.child
        if child is not None:
            node, depth = child, depth + 1
            continue
        if not skipped:
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
    """Collects the title, the paragraphs and their structure in a walk over a page."""

    def __init__(self) -> None:
        self._title = ""
        self._paragraphs: list[str] = []
        self._length = 0  # characters of the paragraphs and the blank lines between them
        self._parts: list[str] = []
        self._headings: list[Heading] = []
        self._anchors = Anchors()
        self._blocks = Blocks()
        self._in_title = False
        self._heading = 0  # level of the heading whose text comes next, or 0
        self._preformatted = 0
        self._drawings = 0
        self._quotes = 0

    def markup(self) -> Markup:
        """What was collected."""
        best = min(self._headings, key=lambda one: (one.level != 1, one.start), default=None)
        title = self._title or (best.text if best else "")
        sections = outline(title, self._headings)
        return Markup(title, "\n\n".join(self._paragraphs), sections, self._blocks.found())

    def enter(self, node: LexborNode) -> None:
        """Begin a node: add its text, or end the paragraph before it."""
        tag = node.tag or ""
        if node.is_text_node:
            self._parts.append(node.text_content or "")
            return
        if tag in _BLOCKS:
            self._end_paragraph()
            self._preformatted += tag in _PREFORMATTED
            self._quotes += tag == "blockquote"
            self._in_title = tag == "title" and not self._drawings
            if tag in _HEADINGS and not self._quotes:
                self._heading = int(tag[1])
                self._anchors.begin_heading()
            self._blocks.enter(tag, self._next(), len(self._headings))
        elif tag in _GAPS:
            self._parts.append("\n" if self._preformatted else " ")
        elif self._stands_apart(node, tag):
            self._parts.append(" ")
        elif tag in _DRAWINGS:
            self._drawings += 1
        elif tag == "a" and self._heading:
            _drop_permalink(node)
        self._anchors.enter(node, tag, self._heading > 0)

    def leave(self, node: LexborNode) -> None:
        """End a node."""
        tag = node.tag or ""
        if tag in _BLOCKS:
            self._end_paragraph()
            self._preformatted -= tag in _PREFORMATTED
            self._quotes -= tag == "blockquote"
            self._in_title = False
            if tag in _HEADINGS:
                self._heading = 0
            self._blocks.leave(tag, self._length, len(self._headings))
        elif (tag in _GAPS and tag != "br") or self._stands_apart(node, tag):
            self._parts.append(" ")
        elif tag in _DRAWINGS:
            self._drawings -= 1
        self._anchors.leave(tag)

    def _stands_apart(self, node: LexborNode, tag: str) -> bool:
        """Whether a reader sees a gap around an element that ends no paragraph."""
        if tag == "tspan":
            return not _MOVES.isdisjoint(node.attributes)
        return tag in _BOXES or (self._drawings > 0 and tag in _PLACED)

    def _next(self) -> int:
        """Where the next paragraph will start."""
        return self._length + 2 if self._paragraphs else 0

    def _end_paragraph(self) -> None:
        raw = "".join(self._parts)
        self._parts.clear()
        if self._preformatted:
            text = "\n".join(line.rstrip() for line in raw.split("\n")).strip("\n")
        else:
            text = " ".join(raw.split())
        if self._in_title:
            # A later title is not shown anywhere; a drawing's is text of the page.
            self._title = self._title or text
        elif text:
            self._add(text)

    def _add(self, text: str) -> None:
        start = self._next()
        anchor = self._anchors.take()
        if self._heading:
            # Only the first paragraph: a heading that is never closed holds the rest of the page.
            shown = " ".join(text.split())
            if len(shown) <= MAX_HEADING:
                self._headings.append(Heading(start, self._heading, shown, anchor))
            self._heading = 0
        self._paragraphs.append(text)
        self._length = start + len(text)


def _drop_permalink(link: LexborNode) -> None:
    """Empty the link if all it shows is a mark that it leads to its own heading."""
    only = link.first_child
    if (
        only is not None
        and only.next is None
        and only.is_text_node
        and (only.text_content or "").strip() in _PERMALINKS
        and (link.attributes.get("href") or "").startswith("#")
    ):
        only.remove()
