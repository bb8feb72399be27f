"""Which fields filters can name and what each holds: a condition that cannot be met is refused, not empty."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from lurcher.bundle.attributes import MAX_NUMBERS, Kind, attributes, fits_64_bits, nfc
from lurcher.bundle.conditions import Condition, Scalar
from lurcher.errors import FieldError
from lurcher.text import cut

# Fields that an error lists, and characters of a name or value that it shows.
_NAMED = 20
_SHOWN = 80

# What passages have besides metadata.
_BESIDE = ("id", "title", "text", "document", "section", "start", "end", "anchor", "url")

_NUMERIC: frozenset[Kind] = frozenset({"number", "boolean", "big"})
_COMPARED: frozenset[Kind] = _NUMERIC | {"text"}

_KINDS: dict[Kind, str] = {
    "text": "texts",
    "number": "numbers",
    "boolean": "true or false",
    "big": "integers of more than 64 bits",
    "null": "null",
    "empty list": "an empty list",
    "object": "an object",
    "list": "a list of lists",
    "numbers": f"a list of more than {MAX_NUMBERS} numbers",
}

_WHY: dict[Kind, str] = {
    "object": "nested fields cannot be filtered on",
    "list": "nested lists cannot be filtered on",
    "numbers": "long lists of numbers are kept and returned, but not indexed",
}


class FilterFields:
    """The fields of all passages' metadata, with the kinds of values that each holds."""

    def __init__(
        self, held: Iterable[tuple[str, Kind, int]], form: Callable[[str], str] = nfc
    ) -> None:
        """Take, for each field and kind, the number of passages that hold it; ``form`` is that of texts."""
        self._form = form
        self._held: dict[str, dict[Kind, int]] = defaultdict(dict)
        for field, kind, passages in held:
            self._held[field][kind] = passages
        self.names = sorted(name for name, held in self._held.items() if _COMPARED & held.keys())

    @property
    def held(self) -> list[tuple[str, Kind, int]]:
        """Each field and kind of value, and how many passages hold it: what makes these fields again."""
        return [
            (field, kind, passages)
            for field, kinds in self._held.items()
            for kind, passages in kinds.items()
        ]

    @classmethod
    def joined(cls, parts: Sequence[FilterFields]) -> FilterFields:
        """The fields of several files' passages; the form of texts is that of the first."""
        held: dict[tuple[str, Kind], int] = defaultdict(int)
        for part in parts:
            for field, kind, passages in part.held:
                held[field, kind] += passages
        lines = ((field, kind, passages) for (field, kind), passages in held.items())
        return cls(lines, parts[0]._form)

    def compared(self, field: str) -> frozenset[Kind]:
        """The kinds of values of ``field`` that filters compare; none if no passage has it."""
        return _COMPARED & self._held.get(field, {}).keys()

    def resolve(self, condition: Condition) -> Condition:
        """The condition in the form in which fields and texts are stored.

        Raises FieldError where its field holds nothing that can be compared with its values.
        """
        name = self._form(condition.field)
        if name not in self._held:
            raise FieldError(f"filter.{condition.field}", self._unknown(name))
        held = self._held[name]
        if not _COMPARED & held.keys():
            raise FieldError(f"filter.{condition.field}", f"is {_listed(held)}{_why(held)}")
        for value in condition.given:
            if refusal := _refusal(value, held):
                raise FieldError(f"filter.{condition.field}", refusal)
        values = tuple(self._form(v) if isinstance(v, str) else v for v in condition.value)
        return replace(condition, field=name, value=values)

    def misfit(self, metadata: dict[str, Any]) -> tuple[str, str] | None:
        """The first field of ``metadata`` with a text where all others have numbers, or the reverse.

        With the reason. A filter on such a field could not compare all of its values.
        """
        for name, kind in sorted(attributes(metadata)[1]):
            held = self._held.get(name, {})
            if kind == "text" and _NUMERIC & held.keys() and "text" not in held:
                return name, f"is a text, but this field holds {_listed(held)}"
            if kind in _NUMERIC and "text" in held and not _NUMERIC & held.keys():
                return name, f"is no text, but this field holds {_listed(held)}"
        return None

    def _unknown(self, name: str) -> str:
        outer = name.partition(".")[0]
        if "object" in self._held.get(outer, {}):
            passages = _passages(self._held[outer]["object"])
            return f"{cut(outer, _SHOWN)} is an object in {passages}; {_WHY['object']}"
        there = ", ".join(cut(name, _SHOWN) for name in self.names[:_NAMED]) or "none"
        if len(self.names) > _NAMED:
            there += f" and {len(self.names) - _NAMED:,} more"
        if name in _BESIDE:
            return f"is not metadata, which alone is filtered on; there are: {there}"
        return f"no passage has this field; there are: {there}"


def _refusal(value: Scalar, held: dict[Kind, int]) -> str | None:
    """Why a field that holds these kinds cannot be compared with the value; None if it can."""
    if isinstance(value, str):
        if "text" in held:
            return None
        wanted = "a number" if "number" in held or "big" in held else "true or false"
        return f"{_given(value)} is a text, but this field holds {_listed(held)}; compare with {wanted}"
    if "numbers" in held:
        return f"cannot be compared with {_given(value)}: it holds {_listed(held)}{_why(held)}"
    if not _NUMERIC & held.keys():
        kind = "not a text" if isinstance(value, bool) else "a number"
        return (
            f"{_given(value)} is {kind}, but this field holds {_listed(held)}; compare with a text"
        )
    if "big" in held and not fits_64_bits(value):
        return (
            f"cannot be compared with {_given(value)}: it holds {_listed(held)}, "
            "which are compared with numbers of 64 bits only"
        )
    return None


def _listed(held: dict[Kind, int]) -> str:
    """What a field holds, and in how many passages."""
    return ", ".join(
        f"{what} in {_passages(held[kind])}" for kind, what in _KINDS.items() if kind in held
    )


def _why(held: dict[Kind, int]) -> str:
    """Why some of what a field holds cannot be compared."""
    return "".join(f"; {why}" for kind, why in _WHY.items() if kind in held)


def _passages(count: int) -> str:
    return f"{count:,} passage{'' if count == 1 else 's'}"


def _given(value: Scalar) -> str:
    return cut(json.dumps(value, ensure_ascii=False), _SHOWN)
