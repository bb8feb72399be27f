"""Texts from elsewhere as a terminal can show them, where it takes some characters for commands."""

from __future__ import annotations

import json
import re
from typing import Any

# C0 and C1 control characters (of which the escape and CSI begin commands) but no tab and line feed; and what
# reorders the text around it (UAX #9: embeddings, overrides, isolates), so that it reads as something else.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_BREAK = re.compile("[\t\n\u2028\u2029]")


def printable(text: str, lines: bool = False) -> str:
    """``text`` with U+FFFD for control characters; tabs and line ends are blanks, or stay, with ``lines``."""
    found = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
    return found if lines else _BREAK.sub(" ", found)


def printable_json(document: Any, unicode: bool) -> str:
    """``document`` as one line of JSON without control characters and, unless ``unicode``, of ASCII alone."""
    written = json.dumps(document, ensure_ascii=not unicode)
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", written)
