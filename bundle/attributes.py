"""From a passage's metadata to what filters compare, and what kinds of values there are.

Texts and names of fields are compared in Unicode's form NFC, in which one spelling of "café" is the other.
"""

from __future__ import annotations

import math
from typing import Any, Literal
from unicodedata import normalize

from lurcher.bundle.conditions import Scalar

# Of a value, or of a member of a list. ``big`` is an integer of more than 64 bits, which SQLite cannot hold;
# ``numbers`` are those of a list that has more than MAX_NUMBERS.
Kind = Literal[
    "text", "number", "boolean", "big", "null", "empty list", "object", "list", "numbers"
]

# Numbers of one list. A list with more is a vector, of which no single number is asked for.
MAX_NUMBERS = 64

_INT64 = 2**63


def fits_64_bits(number: float) -> bool:
    """Whether the number lies where SQLite holds every integer."""
    return -_INT64 <= number < _INT64


def nfc(text: str) -> str:
    """The text in the form in which texts are compared."""
    return normalize("NFC", text)


def attributes(
    metadata: dict[str, Any],
) -> tuple[list[tuple[str, Scalar]], set[tuple[str, Kind]]]:
    """The (field, value) pairs that filters compare, and the (field, kind) pairs of all there is.

    An integer of more than 64 bits stands there as an infinity: it lies on the same side of every number of
    64 bits, and equals none.
    """
    values: list[tuple[str, Scalar]] = []
    kinds: set[tuple[str, Kind]] = set()
    for name, value in metadata.items():
        field = nfc(name)
        items = value if isinstance(value, list) else [value]
        found = [_kind(item) for item in items]
        many = sum(kind in ("number", "big") for kind in found) > MAX_NUMBERS
        if not items:
            kinds.add((field, "empty list"))
        for item, kind in zip(items, found, strict=True):
            if kind == "text":
                values.append((field, nfc(item)))
            elif many and kind in ("number", "big"):
                kinds.add((field, "numbers"))
                continue
            elif kind == "big":
                values.append((field, math.copysign(math.inf, 1 if item > 0 else -1)))
            elif kind in ("number", "boolean"):
                values.append((field, item))
            kinds.add((field, kind))
    return values, kinds


def _kind(item: Any) -> Kind:
    match item:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return "text"
        case float():
            return "number"
        case int():
            return "number" if fits_64_bits(item) else "big"
        case list():
            return "list"
        case _:
            return "object"
