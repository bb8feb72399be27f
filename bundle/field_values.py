"""All values of one metadata field in one file of passages, as arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lurcher.bundle.conditions import Scalar

MOST_VALUES = 100_000
"""Different values of a field that are kept. A field with more, such as an id, groups nothing."""


@dataclass(frozen=True, slots=True)
class FieldValues:
    """Pairs of a value and a passage that has it: ``values[codes[i]]`` and ``rows[i]``, each pair once.

    ``codes`` (n,) and ``rows`` (n,) are int32, and eight bytes a pair.
    """

    values: list[Scalar]
    codes: npt.NDArray[np.int32]
    rows: npt.NDArray[np.int32]


def field_values(pairs: Iterable[tuple[Scalar, int]]) -> FieldValues | None:
    """The ``pairs`` of values and rows, which come sorted; None for more than MOST_VALUES different values.

    Infinities are left out: they stand for integers of more than 64 bits, which are not known apart.
    """
    values: list[Scalar] = []
    codes: list[int] = []
    rows: list[int] = []
    for value, row in pairs:
        if isinstance(value, float) and math.isinf(value):
            continue
        if not values or value != values[-1]:
            if len(values) == MOST_VALUES:
                return None
            values.append(value)
        elif row == rows[-1]:
            continue  # a list that names a value twice
        codes.append(len(values) - 1)
        rows.append(row)
    return FieldValues(values, np.array(codes, np.int32), np.array(rows, np.int32))
