"""JSON as corpora have it: strict where a slip would change what was meant, and else lenient."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from lurcher.index_builder.corpus.passage import BadRecord, kind_of, shown


def json_value(text: str) -> Any:
    """The value that ``text`` holds. Raises BadRecord."""
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise BadRecord(f"not valid JSON: {error.msg} (character {error.pos + 1})") from None
    except RecursionError:
        raise BadRecord("nested too deep") from None


def json_object(text: str, rule: str) -> dict[str, Any]:
    """The object that ``text`` holds. Raises BadRecord, by ``rule`` where it is something else."""
    value = json_value(text)
    if not isinstance(value, dict):
        raise BadRecord(f"{rule}; this one is {kind_of(value)}")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise BadRecord(f"the key {shown(key)} stands twice in one object")
            seen.add(key)
    return found


def _integer(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:  # Python's limit: the time to convert grows with the square of the digits
        raise BadRecord(f"an integer of {len(digits):,} digits is too long") from None


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise BadRecord(f"the number {digits[:40]} is too large for a float")
    return number


def _constant(name: str) -> NoReturn:
    raise BadRecord(f"{name} is not valid JSON")


# Not strict: a raw tab or NUL inside a string is a slip that many writers make, and what was
# meant is plain.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_int=_integer,
    parse_float=_float,
    parse_constant=_constant,
    strict=False,
)
