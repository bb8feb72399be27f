"""What links to a heading of an HTML page can name: ids, and names of ``<a>``."""

from __future__ import annotations

from selectolax.lexbor import LexborNode

_SECTIONS = frozenset({"section", "article"})


class Anchors:
    """Follows a walk over a page, and knows the best anchor for the text that comes next.

    It is the heading's own id; else the nearest one of an element in it, or between it and the text before
    it; else that of the section it is in. An id that an earlier element has leads there, so it is no anchor.
    """

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._own = ""
        self._near = ""
        self._sections = [""]

    def begin_heading(self) -> None:
        """Forget the id of a heading before that had no text."""
        self._own = ""

    def enter(self, node: LexborNode, tag: str, in_heading: bool) -> None:
        """Begin a node, which may be a heading or be inside one."""
        name = node.id or ""
        if not name and tag == "a":
            name = node.attributes.get("name") or ""
        new = name if name not in self._seen else ""
        self._seen.add(name)
        if new and in_heading and not self._own:
            self._own = new
        elif new:
            self._near = new
        if tag in _SECTIONS:
            self._sections.append(new or self._sections[-1])

    def leave(self, tag: str) -> None:
        """End a node."""
        if tag in _SECTIONS:
            self._sections.pop()

    def take(self) -> str:
        """The anchor of the paragraph that ends here; what comes before it counts no more."""
        anchor = self._own or self._near or self._sections[-1]
        self._own = self._near = ""
        return anchor
