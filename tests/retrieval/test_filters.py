"""Filters: what may be written, and the conditions it comes to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lurcher.bundle.passages import Condition
from lurcher.errors import FieldError
from lurcher.retrieval.filters import parse_filter


def conditions(**wanted: Any) -> list[Condition]:
    return list(parse_filter(json.dumps(wanted)))


def test_plain_value_is_a_choice_of_one() -> None:
    assert conditions(lang="en") == [Condition("lang", "in", ("en",))]
    assert conditions(flag=True) == [Condition("flag", "in", (True,))]
    assert conditions(year=2020) == [Condition("year", "in", (2020,))]
    assert conditions(score=0.5) == [Condition("score", "in", (0.5,))]


def test_in_is_a_choice_of_many() -> None:
    assert conditions(lang={"in": ["en", 3, True]}) == [Condition("lang", "in", ("en", 3, True))]


def test_range_has_any_of_four_bounds() -> None:
    assert conditions(year={"gte": 2000, "lt": 2010.5}) == [
        Condition("year", "range", (None, 2000, 2010.5, None))
    ]
    assert conditions(name={"gt": "a", "lte": "m"}) == [
        Condition("name", "range", ("a", None, None, "m"))
    ]


def test_empty_range_is_a_condition_that_nothing_meets() -> None:
    assert conditions(year={"gt": 5, "lt": 5}) == [Condition("year", "range", (5, None, 5, None))]


def test_each_field_is_a_condition_in_the_order_written() -> None:
    assert [c.field for c in conditions(b=1, a=2)] == ["b", "a"]
    assert conditions() == []


@pytest.mark.parametrize(
    "wanted",
    [
        '{"year": null}',
        '{"year": NaN}',
        '{"year": Infinity}',
        '{"year": {"gt": NaN}}',
        '{"year": {"gt": true}}',
        '{"year": {"gt": 1, "lt": "a"}}',
        '{"year": {}}',
        '{"year": {"gte": null}}',
        '{"year": {"in": []}}',
        '{"year": {"in": "en"}}',
        '{"year": {"in": [1], "gt": 2}}',
        '{"year": {"after": 2}}',
        '{"year": [1]}',
        '{"year": {"in": [[1]]}}',
        '{"year": 1' + "0" * 400 + "}",
        '["year"]',
        "3",
        "null",
        "",
        '{"year": ',
        json.dumps({"year": {"in": list(range(1_001))}}),
        json.dumps({f"f{i}": i for i in range(17)}),
    ],
)
def test_what_cannot_be_a_filter_says_so(wanted: str) -> None:
    with pytest.raises(FieldError, match="filter"):
        parse_filter(wanted)


def test_integer_beyond_64_bits_is_compared_as_a_float() -> None:
    (condition,) = parse_filter('{"year": {"lt": 100000000000000000000}}')
    assert condition.value == (None, None, 1e20, None)
    assert isinstance(condition.value[2], float)  # SQLite holds no such integer


def test_a_dict_means_what_it_means_as_json() -> None:
    wanted = {"lang": {"in": ["en", "de"]}, "year": {"gte": 2000, "lt": 2010.5}, "flag": True}
    assert parse_filter(wanted) == parse_filter(json.dumps(wanted))
    assert parse_filter({}) == parse_filter("{}") == ()


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"year": None}, "filter.year"),
        ({"year": {"gt": float("nan")}}, "filter.year"),
        ({"year": {"in": []}}, "filter.year"),
        ({"lang": "\ud800"}, "filter.lang"),
        ({3: "en"}, "filter.3"),
        ({"lang": object()}, "filter.lang"),
    ],
)
def test_the_field_at_fault_is_named(wanted: dict[Any, Any], field: str) -> None:
    with pytest.raises(FieldError) as error:
        parse_filter(wanted)
    assert error.value.field.startswith(field)
