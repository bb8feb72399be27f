"""Anchors of Markdown headings, as GitHub makes them."""

from __future__ import annotations

import re
import unicodedata

# What is not kept without a look at what kind of character it is.
_OTHERS = re.compile(r"[^a-z0-9_-]")
_KEPT = ("L", "M", "Nd", "Pc")


class Slugs:
    """Makes one anchor a heading, in the order of the page: a second "Use" is ``use-1``."""

    def __init__(self) -> None:
        self._times: dict[str, int] = {}

    def add(self, heading: str) -> str:
        """The anchor of the next heading, whose text has no markup."""
        base = slug = _OTHERS.sub(_slugged, heading.strip().lower())
        while slug in self._times:
            self._times[base] += 1
            slug = f"{base}-{self._times[base]}"
        self._times[slug] = 0
        return slug


def _slugged(other: re.Match[str]) -> str:
    if other[0] == " ":
        return "-"
    return other[0] if unicodedata.category(other[0]).startswith(_KEPT) else ""
