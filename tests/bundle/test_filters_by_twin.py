"""Filters say what plain Python would, or why they cannot say. The twin below defines what a filter means."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.bundle.passages import Condition, Passage, Scalar
from lurcher.errors import FieldError
from tests.bundle.written import written

OPERATORS: list[Callable[[Any, Any], bool]] = [
    lambda a, b: a > b,
    lambda a, b: a >= b,
    lambda a, b: a < b,
    lambda a, b: a <= b,
]

Metadata = dict[str, Any]


def nfc(value: Any) -> Any:
    return normalize("NFC", value) if isinstance(value, str) else value


def is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def is_big(value: Any) -> bool:
    return isinstance(value, int) and not -(2**63) <= value < 2**63


def lists(metadata: Metadata, field: str) -> Iterator[list[Any]]:
    """The values of a field, each as a list; more than one where two spellings of its name are there."""
    for name, value in metadata.items():
        if nfc(name) == nfc(field):
            yield value if isinstance(value, list) else [value]


def values(metadata: Metadata, field: str) -> list[Scalar]:
    """What can be compared."""
    return [
        nfc(value)
        for members in lists(metadata, field)
        for value in members
        if isinstance(value, str) or (is_number(value) and sum(map(is_number, members)) <= 64)
    ]


def passes(value: Scalar, condition: Condition) -> bool:
    """Whether one value of a field passes."""
    if condition.op == "in":
        return any(nfc(v) == value for v in condition.value if v is not None)
    return all(
        isinstance(bound, str) == isinstance(value, str) and test(value, nfc(bound))
        for test, bound in zip(OPERATORS, condition.value, strict=True)
        if bound is not None
    )


def refused(corpus: list[Metadata], condition: Condition) -> bool:
    """Whether the condition names nothing that can be compared."""
    there = [value for one in corpus for value in values(one, condition.field)]
    every = [members for one in corpus for members in lists(one, condition.field)]
    long = any(sum(map(is_number, members)) > 64 for members in every)
    bounds = [v for v in condition.value if v is not None]
    numbers = [v for v in bounds if is_number(v)]
    if not there or (numbers and long):
        return True
    if any(not any(isinstance(t, str) == isinstance(v, str) for t in there) for v in bounds):
        return True
    beyond = any(not -(2**63) <= v < 2**63 for v in numbers)  # type: ignore[operator]  # numbers only
    return beyond and any(map(is_big, there))


def twin(corpus: list[Metadata], conditions: list[Condition]) -> list[int] | None:
    """The rows that pass every condition, by the plain meaning of the words; None if it is refused."""
    if any(refused(corpus, condition) for condition in conditions):
        return None
    return [
        row
        for row, metadata in enumerate(corpus)
        if all(any(passes(v, c) for v in values(metadata, c.field)) for c in conditions)
    ]


# Few different values, so that filters match; and the edges of each type.
some_text = st.sampled_from(["", "a", "B", "b", "caf\u00e9", "cafe\u0301", "zz", "10", "😀"])
some_number = st.sampled_from(
    [0, 1, -1, 2, 10, 2**53 + 1, 2**63 - 1, -(2**63), 0.0, -0.0, -0.5, 1.0, 0.1,
     2.0**53, 1e308, -1e308, 5e-324]
)  # fmt: skip
some_scalar = some_text | some_number | st.booleans()
some_odd = st.none() | st.sampled_from([{"a": 1}, [1], 2**64, -(2**70)])
some_value = (
    some_scalar | some_odd | st.lists(some_scalar | some_odd, max_size=3)
    | st.just([0.5] * 65) | st.just(["a", *range(64)])
)  # fmt: skip
fields = st.sampled_from(["f", "na\u00efve", "nai\u0308ve"])


def bounds(of: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    side = st.none() | of
    return st.tuples(side, side, side, side).filter(lambda b: any(v is not None for v in b))


conditions = st.builds(
    Condition, fields, st.just("in"), st.lists(some_scalar, max_size=3).map(tuple)
) | st.builds(Condition, fields, st.just("range"), bounds(some_text) | bounds(some_number))


def answered(corpus: list[Metadata], conditions: list[Condition]) -> list[int] | None:
    with written([Passage(str(i), "", metadata=m) for i, m in enumerate(corpus)]) as opened:
        try:
            return opened.rows(conditions).tolist()
        except FieldError:
            return None


@given(st.lists(st.dictionaries(fields, some_value), max_size=12), st.lists(conditions, max_size=3))
def test_a_filter_means_what_its_twin_says(
    corpus: list[Metadata], conditions: list[Condition]
) -> None:
    assert answered(corpus, conditions) == twin(corpus, conditions)


@given(
    st.lists(st.dictionaries(fields, some_scalar | st.lists(some_scalar), max_size=3), max_size=12),
    st.lists(conditions, max_size=3),
)
def test_of_mixed_fields_nothing_is_refused(
    corpus: list[Metadata], conditions: list[Condition]
) -> None:
    corpus.append({"f": ["a text", 7.5], "na\u00efve": ["a text", 7.5]})
    found = answered(corpus, conditions)
    assert found is not None
    assert found == twin(corpus, conditions)


@pytest.mark.parametrize(
    ("stored", "asked", "found"),
    [
        (1, 1.0, True),
        (1.0, 1, True),
        (-0.0, 0, True),
        (0, -0.0, True),
        (True, 1, True),  # as in Python and SQL: many programs write true as 1
        (1, True, True),
        (2, True, False),
        (1e308, 1e308, True),
        (5e-324, 5e-324, True),
        (2**53 + 1, 2**53 + 1, True),
        (2**53 + 1, float(2**53), False),
        (0.1 + 0.2, 0.3, False),
        (2**64, 2**63 - 1, False),
        ("caf\u00e9", "cafe\u0301", True),
        ("cafe\u0301", "caf\u00e9", True),
        ("\u212b", "\u00c5", True),
        ("ﬁ", "fi", False),  # NFC, not NFKC
        ("Café", "café", False),
    ],
)
def test_equality_by_example(stored: Scalar, asked: Scalar, found: bool) -> None:
    rows = answered([{"f": stored}], [Condition("f", "in", (asked,))])
    assert rows == ([0] if found else [])


def test_metadata_comes_back_as_it_was_spelt() -> None:
    metadata = {"cafe\u0301": "cafe\u0301", "n": [2**64, [0.5] * 100]}
    with written([Passage("a", "", metadata=metadata)]) as opened:
        assert opened.get([0])[0].metadata == metadata
        assert opened.fields == ["caf\u00e9", "n"]
