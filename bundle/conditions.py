"""One test of one metadata field, and how SQLite makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Condition:
    """One test of one metadata field; a passage passes if any of the field's values does.

    ``op`` is ``in`` (``value`` a tuple of scalars), or ``range`` (``value`` the four bounds
    ``(gt, gte, lt, lte)``, None where there is no bound).
    """

    field: str
    op: Literal["in", "range"]
    value: tuple[Scalar | None, ...]

    @property
    def given(self) -> list[Scalar]:
        """The values that a field is compared with."""
        return [value for value in self.value if value is not None]


def sql_test(condition: Condition) -> tuple[str, list[Scalar]]:
    """The test of the column ``value`` in SQL, and what its marks stand for."""
    values = condition.given
    if condition.op == "in":
        return f"value IN ({','.join('?' * len(values))})", values
    signs = [
        sign
        for sign, bound in zip((">", ">=", "<", "<="), condition.value, strict=True)
        if bound is not None
    ]
    # SQLite sorts every number before every text: without the type test, a range of numbers
    # that is open above would take in all texts.
    kind = "'text'" if isinstance(values[0], str) else "'integer', 'real'"
    tests = [f"value {sign} ?" for sign in signs] + [f"typeof(value) IN ({kind})"]
    return " AND ".join(tests), values
