"""Which values a metadata field has, and in how many passages of a snapshot each: all of them, or a filter's.

A file's values of a field are read once and kept (``Passages.values_of``): files do not change, and deleted
passages are left out when it is counted. So a count of a million passages takes 30 ms, whatever the filter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import nsmallest

import numpy as np
import numpy.typing as npt

from lurcher.bundle.attributes import nfc
from lurcher.bundle.bundle import Bundle
from lurcher.bundle.conditions import Scalar
from lurcher.bundle.field_values import FieldValues
from lurcher.bundle.passages import Rows
from lurcher.errors import FieldError

_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Facet:
    """The most frequent ``values`` of a field, each with the number of passages that have it.

    ``distinct`` is how many different ones there are, and ``passages`` how many passages have any. Where a
    file of the bundle has more than MOST_VALUES different ones, nothing is counted, and both are None.
    """

    values: list[tuple[Scalar, int]]
    distinct: int | None
    passages: int | None


def facet(bundle: Bundle, field: str, allow: Rows | None, limit: int | None) -> Facet:
    """The ``limit`` most frequent values of ``field`` in the passages at the rows ``allow``; None: all.

    Of equally frequent ones, numbers come before texts and then the smaller first. Raises FieldError if no
    passage has the field.
    """
    name = nfc(field)
    if name not in bundle.passages.fields:
        there = ", ".join(bundle.passages.fields[:20]) or "none"
        raise FieldError("field", f"no passage has the field {field!r}; there are: {there}")
    passes = _mask(bundle, allow)
    parts: list[tuple[FieldValues, _Mask | None]] = []
    kinds: set[str] = set()
    for segment, first in zip(bundle.segments, bundle.rows.starts.tolist(), strict=False):
        held = segment.passages.values_of(name)
        if held is None:
            return Facet([], None, None)
        kinds |= segment.passages.filter_fields.compared(name)
        end = first + segment.passages.count
        parts.append((held, None if passes is None else passes[first:end]))
    found = _counted(parts, limit)
    if kinds == {"boolean"}:
        found.values[:] = [(bool(value), count) for value, count in found.values]
    return found


def joined(parts: Sequence[Facet], limit: int) -> Facet:
    """The ``limit`` most frequent values of a field in several ``parts`` together, which have all values."""
    counts: Counter[Scalar] = Counter()
    passages = 0
    for part in parts:
        if part.passages is None:
            return part
        counts.update(dict(part.values))
        passages += part.passages
    return Facet(_first(counts, limit), len(counts), passages)


def _mask(bundle: Bundle, allow: Rows | None) -> _Mask | None:
    """Which rows of the snapshot count (n,); None: all."""
    if allow is None:
        return bundle.rows.live
    passes = np.zeros(bundle.rows.count, np.bool_)
    passes[allow] = True
    return passes


def _counted(parts: Iterable[tuple[FieldValues, _Mask | None]], limit: int | None) -> Facet:
    counts: Counter[Scalar] = Counter()
    passages = 0
    for held, mask in parts:
        kept = np.ones(len(held.rows), np.bool_) if mask is None else mask[held.rows]
        found = np.bincount(held.codes[kept], minlength=len(held.values))
        for code in np.flatnonzero(found).tolist():
            counts[held.values[code]] += int(found[code])
        passages += len(np.flatnonzero(np.bincount(held.rows[kept])))
    return Facet(_first(counts, limit), len(counts), passages)


def _first(counts: Counter[Scalar], limit: int | None) -> list[tuple[Scalar, int]]:
    if limit is None:
        return list(counts.items())
    return nsmallest(limit, counts.items(), key=_place)


def _place(item: tuple[Scalar, int]) -> tuple[int, bool, Scalar]:
    value, count = item
    return -count, isinstance(value, str), value
