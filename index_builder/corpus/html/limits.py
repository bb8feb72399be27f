"""Pages that HTML's own rules make slow to parse."""

from __future__ import annotations

import re
from collections import Counter

from lurcher.index_builder.corpus.passage import BadRecord

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


def check_size(page: str) -> None:
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
