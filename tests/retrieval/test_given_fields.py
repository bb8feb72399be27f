"""Null is a field that is not given, 5.0 is 5, and the schema says so."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from lurcher.errors import FieldError
from lurcher.retrieval.filters import parse_filter
from lurcher.retrieval.given_fields import GivenFields


class Inner(GivenFields):
    depth: int | None = None


class Asked(GivenFields):
    text: str
    count: Annotated[int, Field(ge=1, description="How many.")] = 3
    share: float = 0.5
    strict: bool = True
    inner: Inner = Inner()


def test_null_is_not_given_at_any_depth() -> None:
    nulls = {"count": None, "share": None, "strict": None, "nobody's": None}
    assert Asked.model_validate({"text": "a", **nulls}) == Asked(text="a")
    assert Asked.model_validate({"text": "a", "inner": {"depth": None, "width": None}}) == Asked(
        text="a"
    )


def test_required_field_that_is_null_is_missing() -> None:
    with pytest.raises(ValidationError) as error:
        Asked.model_validate({"text": None})
    assert [(e["loc"], e["type"]) for e in error.value.errors()] == [(("text",), "missing")]


@pytest.mark.parametrize("given", [5, 5.0])
def test_number_without_a_fraction_is_an_integer(given: float) -> None:
    asked = Asked.model_validate({"text": "a", "count": given, "inner": {"depth": given}})
    assert (asked.count, asked.inner.depth) == (5, 5)
    assert type(asked.count) is type(asked.inner.depth) is int


@pytest.mark.parametrize(
    "given", [5.5, "5", "5.0", True, [5], float("nan"), float("inf"), 0.0, -1.0]
)
def test_what_is_no_integer_or_too_small_is_refused(given: object) -> None:
    with pytest.raises(ValidationError) as error:
        Asked.model_validate({"text": "a", "count": given})
    assert error.value.errors()[0]["loc"] == ("count",)


def test_float_stays_a_float() -> None:
    assert type(Asked(text="a", share=1.0).share) is float


def test_schema_offers_null_for_all_but_required_fields() -> None:
    schema = Asked.model_json_schema()
    assert schema["properties"]["text"]["type"] == "string"
    assert schema["additionalProperties"] == {"type": "null"}
    assert schema["properties"]["count"] == {
        "anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}],
        "default": 3,
        "description": "How many.",
        "title": "Count",
    }
    assert schema["properties"]["inner"]["anyOf"] == [{"$ref": "#/$defs/Inner"}, {"type": "null"}]
    depth = schema["$defs"]["Inner"]["properties"]["depth"]["anyOf"]
    assert depth == [{"type": "integer"}, {"type": "null"}]


def test_bounds_of_a_filter_that_are_null_are_not_given() -> None:
    nulls = {"gt": None, "lt": None, "lte": None}
    assert parse_filter({"year": {"gte": 3, "in": None, **nulls}}) == parse_filter(
        {"year": {"gte": 3}}
    )
    assert parse_filter({"year": {"in": [3], "gte": None, **nulls}}) == parse_filter(
        {"year": {"in": [3]}}
    )


@pytest.mark.parametrize("condition", [None, {"gte": None}, {"in": None}, {}])
def test_condition_of_nothing_but_null_is_refused(condition: object) -> None:
    """Left out, it would let through what it was meant to keep out."""
    with pytest.raises(FieldError) as error:
        parse_filter({"tenant": condition})
    assert error.value.field == "filter.tenant"
