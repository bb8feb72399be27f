"""Work on many queries, of which one at fault does not spoil the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from lurcher.errors import LurcherError

_Asked = TypeVar("_Asked")
_Done = TypeVar("_Done")


def outcome_of_each(
    do: Callable[[_Asked], _Done], all_: Iterable[_Asked]
) -> list[_Done | LurcherError]:
    """What ``do`` makes of each of ``all_``, or the LurcherError that it raised, in that order."""
    found: list[_Done | LurcherError] = []
    for one in all_:
        try:
            found.append(do(one))
        except LurcherError as error:
            found.append(error)
    return found
