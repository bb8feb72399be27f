"""The tree of errors: drawn as it is, and each error can be sent to another process."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from collections.abc import Iterator
from typing import Any

import pytest

from lurcher import errors
from lurcher.errors import LurcherError


def tree(kind: type[LurcherError]) -> Iterator[type[LurcherError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


KINDS = [kind for kind in tree(LurcherError) if kind.__module__ == errors.__name__]


def made(kind: type[LurcherError]) -> LurcherError:
    """An error with an argument for each of its parameters."""
    if kind.__init__ is Exception.__init__:
        return kind("a message")
    parameters = inspect.signature(kind).parameters.values()
    examples: dict[str, Any] = {
        "list[int]": [7], "int": 7, "int | None": 7, "Mapping[int, LurcherError]": {7: "some error"},
    }  # fmt: skip
    return kind(*(examples.get(str(one.annotation), f"some {one.name}") for one in parameters))


@pytest.mark.parametrize("kind", KINDS)
def test_each_error_comes_back_from_a_pickle(kind: type[LurcherError]) -> None:
    error = made(kind)
    error.add_note("a note")
    pickled = pickle.loads(pickle.dumps(error))  # noqa: S301 (made here)
    for found in (pickled, copy.copy(error)):
        assert type(found) is kind
        assert str(found) == str(error) != ""
        assert found.args == error.args
        assert vars(found) == vars(error)


def test_the_drawing_names_each_error_below_its_parent() -> None:
    drawn: dict[str, str | None] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"    ([│├└─ ]*)([A-Z]\w+)", line):
            depth = len(match[1])
            above = [one for one in above if one[0] < depth]
            drawn[match[2]] = above[-1][1] if above else None
            above.append((depth, match[2]))
    there = {kind.__name__: kind.__mro__[1].__name__ for kind in KINDS[1:]}
    assert drawn == {"LurcherError": None} | there
