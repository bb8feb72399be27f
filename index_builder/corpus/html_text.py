"""The readable text of an HTML page."""

from __future__ import annotations

from html.parser import HTMLParser

_DROPPED = frozenset({"script", "style", "template", "noscript"})

_PARAGRAPHS = """
    address article aside blockquote body caption center dd details dialog dir div dl dt fieldset
    figcaption figure footer form frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html legend li
    main menu nav ol option p pre search section summary table tbody textarea tfoot thead title tr
    ul"""
_BLOCKS = frozenset(_PARAGRAPHS.split())

# They part words without ending a paragraph.
_GAPS = frozenset({"br", "td", "th"})


def extract(page: str) -> tuple[str, str]:
    """Title and text of the page; blank lines part paragraphs, other white space is one space.

    Malformed pages give what a lenient reading gives; no page is an error.
    """
    reader = _Reader()
    reader.feed(page)
    reader.close()
    paragraphs = (_spaced(parts) for parts in reader.paragraphs)
    return _spaced(reader.title), "\n\n".join(one for one in paragraphs if one)


def _spaced(parts: list[str]) -> str:
    return " ".join("".join(parts).split())


class _Reader(HTMLParser):
    """Collects the pieces of the title and of each paragraph."""

    def __init__(self) -> None:
        super().__init__()
        self.title: list[str] = []
        self.paragraphs: list[list[str]] = [[]]
        self._in_title = False
        # While an element is dropped only its own tags count: what is inside may be in disorder.
        self._dropping = ""
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 (the base's)
        if self._dropping:
            self._depth += tag == self._dropping
        elif tag in _DROPPED:
            self._dropping, self._depth = tag, 1
        else:
            self._part(tag)
            # Only the first: drawings have titles too, and theirs is text of the page.
            self._in_title = tag == "title" and not self.title

    def handle_endtag(self, tag: str) -> None:
        if self._dropping:
            self._depth -= tag == self._dropping
            if not self._depth:
                self._dropping = ""
        else:
            self._part(tag)
            self._in_title = self._in_title and tag != "title"

    def handle_data(self, data: str) -> None:
        if not self._dropping:
            (self.title if self._in_title else self.paragraphs[-1]).append(data)

    def parse_marked_section(self, i: int, report: bool = True) -> int:  # noqa: ARG002 (the base's)
        """The end of ``<![...``, read as browsers do: as a comment.

        The base class knows only a few keywords and raises AssertionError for any other.
        """
        return self.parse_bogus_comment(i)

    def _part(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.paragraphs.append([])
        elif tag in _GAPS:
            self.paragraphs[-1].append(" ")
