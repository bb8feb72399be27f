"""JSON lines: one object a line, as BEIR writes its corpora."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.corpus.lines import RAW, read_lines
from lurcher.index_builder.corpus.passage import BadRecord, document_of, kind_of, shown
from lurcher.index_builder.corpus.records import Record


def read_jsonl(path: Path) -> Iterator[Record]:
    """One record for each line that is not blank."""
    for line in read_lines(path):
        text = line.text.rstrip("\r\n")
        if not text.strip():
            continue
        try:
            if line.fault:
                raise BadRecord(line.fault)
            yield Record(path, line.number, _document(text))
        except BadRecord as error:
            yield Record(path, line.number, reason=str(error), raw=text[:RAW])


def _document(text: str) -> Document:
    fields = _object(text)
    nested = fields.pop("metadata", None)
    if nested is None:
        nested = {}
    if not isinstance(nested, dict):
        raise BadRecord(f"metadata is {kind_of(nested)}; it must be an object")
    return document_of(fields, nested)


def _object(text: str) -> dict[str, Any]:
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise BadRecord(f"not valid JSON: {error.msg} (character {error.pos + 1})") from None
    except RecursionError:
        raise BadRecord("nested too deep") from None
    if not isinstance(value, dict):
        raise BadRecord(f"a line must hold a JSON object; this one is {kind_of(value)}")
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
