"""Elements of an HTML page that its own markup hides from readers."""

from __future__ import annotations

import re

from selectolax.lexbor import LexborNode

# One that never ends holds the rest of the style (CSS Syntax, 4.3.2).
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)

# Scripts show these once a page is ready; without its body, a page would have no text at all.
_SHOWN = frozenset({"html", "body"})


def hidden_elements(root: LexborNode) -> frozenset[int]:
    """The ``mem_id`` of each element with the attribute ``hidden`` or the inline style ``display: none``.

    Not of what a browser finds and shows (``hidden="until-found"``), nor of ``<html>`` and ``<body>``. Style
    sheets are not read.
    """
    return frozenset(
        node.mem_id
        for node in root.css("[hidden], [style]")
        if node.tag not in _SHOWN and _is_hidden(node)
    )


def _is_hidden(node: LexborNode) -> bool:
    attributes = node.attributes
    if "hidden" in attributes and (attributes["hidden"] or "").lower() != "until-found":
        return True
    return displays_nothing(attributes.get("style") or "")


def displays_nothing(style: str) -> bool:
    """Whether an inline style says ``display: none``; the last word counts, if not an important one."""
    said = {False: "", True: ""}
    for declaration in _COMMENT.sub(" ", style).lower().split(";"):
        name, _, value = declaration.partition(":")
        if name.strip() == "display":
            value, mark, important = value.partition("!")
            said[bool(mark) and important.strip() == "important"] = value.strip()
    return (said[True] or said[False]) == "none"
