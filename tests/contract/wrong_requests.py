"""Requests that are wrong somewhere: good ones with something changed, added, left out or broken."""

from __future__ import annotations

import random
from typing import Any

ODD_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**30, 0.5, 1e308, -0.0,
    float("nan"), float("inf"), "", " ", "\x00", "\ud800", "\udfff\ud800", "é", "🐕", "x" * 600,
    "\u202e", "'; DROP TABLE passages; --", "%s%n", [], {}, [[]], [None], {"": None}, {"in": []},
    {"in": [None]}, {"gt": 1, "lt": "a"}, {"gte": {}}, ["a"] * 9, {"$ref": "#"}, {"lang": "en"},
]  # fmt: skip
ODD_BYTES = [
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"{",
    b"}",
    b"[",
    b'"',
    b"\\",
    b"\\ud800",
    b"1e999",
    b"NaN",
    b"-",
    b",",
    b"\xef\xbb\xbf",
]

TYPES = ["application/json"] * 8 + [
    "text/plain",
    "",
    "application/json; charset=utf-16",
    "application/xml",
    "json",
    ";",
    "application/*+json",
]


def spoil(value: Any, random_: random.Random) -> Any:
    """``value`` with something inside it changed, added or left out."""
    if isinstance(value, dict) and value and random_.random() < 0.8:
        name = random_.choice(list(value))
        changed = dict(value)
        match random_.randrange(4):
            case 0:
                del changed[name]
            case 1:
                changed[random_.choice(["filtre", "", "\ud800", "__proto__", "query "])] = value[
                    name
                ]
            case _:
                changed[name] = spoil(value[name], random_)
        return changed
    if isinstance(value, list) and value and random_.random() < 0.5:
        return [*value, spoil(value[0], random_)]
    return random_.choice(ODD_VALUES)


def damage(raw: bytes, random_: random.Random) -> bytes:
    """``raw`` with bytes put in, taken out or turned."""
    at = random_.randrange(len(raw) + 1)
    match random_.randrange(4):
        case 0:
            return raw[:at]
        case 1:
            return (
                raw[:at] + random_.choice(ODD_BYTES) * random_.choice([1, 1, 3, 2_000]) + raw[at:]
            )
        case 2:
            return raw[:at] + random_.randbytes(random_.randrange(1, 9)) + raw[at + 3 :]
        case _:
            return raw[:at] + raw * random_.choice([1, 400])
