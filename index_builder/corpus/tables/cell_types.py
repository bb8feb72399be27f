"""Types of a table's columns: what its cells all are, or what the caller says they are.

A column is of the first of these types that all its cells are; empty cells do not count:

integer   as JSON writes it, in 64 bits: no plus sign, no leading zero
float     a finite decimal number as JSON writes it; without point and exponent only up to 2**53, because
          digits that a float would change are a name, not a number
boolean   true or false, in letters of any case
text      anything else
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from lurcher.bundle.attributes import fits_64_bits
from lurcher.errors import FieldError
from lurcher.index_builder.corpus.passage import BadRecord, shown

CellType = Literal["integer", "float", "boolean", "text"]
Cell = str | int | float | bool | None

_NAMES: tuple[CellType, ...] = ("integer", "float", "boolean", "text")
_ARTICLES: dict[CellType, str] = {
    "integer": "an integer of 64 bits", "float": "a finite number", "boolean": "true or false",
    "text": "a text",
}  # fmt: skip

# A name may hold commas and equals signs; a type holds neither.
_PAIR = re.compile(r"(?P<column>.+?)=(?P<type>\w+)(?:,|$)", re.DOTALL)

# No integer of 64 bits is longer, leading zeros aside; Python refuses those of thousands of digits.
_DIGITS = 19

_INTEGER = re.compile("0|-?[1-9][0-9]*")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_ANY_INTEGER = re.compile("[+-]?[0-9]+")
_ANY_FLOAT = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")

# Floats hold every integer up to here.
_EXACT = 2**53


def parse_types(options: Sequence[str]) -> dict[str, CellType]:
    """The types of ``options`` such as ``year=text,price=float``, by column. Raises FieldError."""
    types: dict[str, CellType] = {}
    for option in options:
        at = 0
        while at < len(option) or not option:
            pair = _PAIR.match(option, at)
            kind = next((name for name in _NAMES if pair and pair["type"] == name), None)
            if pair is None or kind is None:
                raise FieldError(
                    "types",
                    f"{option[at:]!r} is not COLUMN=TYPE, such as year=text; "
                    f"TYPE is one of {', '.join(_NAMES)}",
                )
            if pair["column"] in types:
                raise FieldError("types", f"{shown(pair['column'])} is given twice")
            types[pair["column"]] = kind
            at = pair.end()
    return types


def convert(
    row: Mapping[str, str], types: Mapping[str, CellType], given: Iterable[str]
) -> dict[str, Cell]:
    """The cells of a row as ``types`` has their columns, None for an empty one; other columns are kept.

    The columns ``given`` have their type from the caller, and may write numbers with a plus sign, leading
    zeros, or without a digit before or after the point. Raises BadRecord for a cell that is not of its type.
    """
    cells: dict[str, Cell] = dict(row)
    for column, kind in types.items():
        cell = row[column]
        value = (_READ_ANY if column in given else _READ)[kind](cell) if cell else None
        if cell and value is None:
            raise BadRecord(f"column {shown(column)} has {shown(cell)}, not {_ARTICLES[kind]}")
        cells[column] = value
    return cells


class TypeFinder:
    """Finds the type of each column from all of its cells."""

    def __init__(self, columns: Iterable[str]) -> None:
        self._columns = list(columns)
        self._left = {column: list(_NAMES[:-1]) for column in self._columns}
        self._seen: set[str] = set()

    @property
    def decided(self) -> bool:
        """Whether no further cell can change a type: all columns are texts."""
        return not self._left

    def add(self, row: Mapping[str, str]) -> None:
        """Leave out the types that a cell of the row is not of."""
        for column, left in list(self._left.items()):
            if cell := row[column]:
                self._seen.add(column)
                left[:] = [kind for kind in left if _READ[kind](cell) is not None]
                if not left:
                    del self._left[column]

    def types(self) -> dict[str, CellType]:
        """The type of each column; that of an empty one is text."""
        return {
            column: self._left[column][0]
            if column in self._left and column in self._seen
            else "text"
            for column in self._columns
        }


def _integer(cell: str) -> int | None:
    return _int64(cell) if _INTEGER.fullmatch(cell) else None


def _any_integer(cell: str) -> int | None:
    return _int64(cell) if _ANY_INTEGER.fullmatch(cell) else None


def _int64(cell: str) -> int | None:
    digits = cell.lstrip("+-").lstrip("0")
    if len(digits) > _DIGITS:
        return None
    value = -int(digits or "0") if cell[0] == "-" else int(digits or "0")
    return value if fits_64_bits(value) else None


def _float(cell: str) -> float | None:
    if not _FLOAT.fullmatch(cell):
        return None
    value = _finite(cell)
    exact = value is None or abs(value) <= _EXACT or not cell.lstrip("-").isdigit()
    return value if exact else None


def _any_float(cell: str) -> float | None:
    return _finite(cell) if _ANY_FLOAT.fullmatch(cell) else None


def _finite(cell: str) -> float | None:
    value = float(cell)
    return value if math.isfinite(value) else None


def _boolean(cell: str) -> bool | None:
    return {"true": True, "false": False}.get(cell.lower())


_READ: dict[CellType, Callable[[str], Cell]] = {
    "integer": _integer, "float": _float, "boolean": _boolean, "text": str,
}  # fmt: skip
_READ_ANY: dict[CellType, Callable[[str], Cell]] = {
    **_READ, "integer": _any_integer, "float": _any_float,
}  # fmt: skip
