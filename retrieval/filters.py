"""From the filter of a request to conditions on metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    ConfigDict,
    Field,
    FiniteFloat,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from lurcher.bundle.passages import Condition
from lurcher.errors import FieldError
from lurcher.retrieval.given_fields import GivenFields

# With a limit on its length pydantic refuses a text that names half of a surrogate pair, as JSON can; neither
# UTF-8 nor SQLite can hold one.
Text = Annotated[str, Field(min_length=0)]

# SQLite compares 64-bit integers.
_Integer = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
Value = Text | bool | _Integer | FiniteFloat
Bound = Text | _Integer | FiniteFloat


class In(GivenFields):
    """The field has one of these values."""

    values: Annotated[list[Value], Field(alias="in", min_length=1, max_length=1_000)]


class Range(GivenFields):
    """The field lies between these bounds: all numbers, or all texts (compared by code point)."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    gt: Bound | None = None
    gte: Bound | None = None
    lt: Bound | None = None
    lte: Bound | None = None

    @model_validator(mode="after")
    def _comparable(self) -> Range:
        given = [v for v in (self.gt, self.gte, self.lt, self.lte) if v is not None]
        if not given:
            raise ValueError("needs gt, gte, lt or lte")
        if len({isinstance(v, str) for v in given}) > 1:
            raise ValueError("bounds must be all numbers or all texts")
        return self


def _explained(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """``value`` validated, with one error that says what is allowed instead of one per branch."""
    try:
        return validate(value)
    except ValidationError as error:
        # Not as if it were not given: the search would then find what the filter was to keep out.
        reason = _NULL if value is None else _ALLOWED
        raise PydanticCustomError("filter", reason) from error


_NULL = "is null: leave the field out, or give a value"


_ALLOWED = (
    'must be a text, a finite number, true or false; or {"in": [1 to 1,000 of these]}; '
    "or a range of gt, gte, lt, lte whose bounds are all numbers or all texts"
)

Filter = Annotated[
    dict[Text, Annotated[Value | In | Range, WrapValidator(_explained)]], Field(max_length=16)
]


def conditions(filters: Mapping[str, Any]) -> tuple[Condition, ...]:
    """One condition per field of a validated filter; a passage has to meet them all."""
    return tuple(_condition(field, test) for field, test in filters.items())


def parse_filter(given: str | Mapping[str, Any]) -> tuple[Condition, ...]:
    """The conditions of ``given``, a filter as JSON or as a dict. Raises FieldError."""
    try:
        if isinstance(given, str):
            return conditions(_FILTER.validate_json(given))
        return conditions(_FILTER.validate_python(dict(given)))
    except ValidationError as error:
        first = error.errors()[0]
        raise FieldError(".".join(["filter", *map(str, first["loc"])]), first["msg"]) from error


_FILTER: TypeAdapter[dict[str, Any]] = TypeAdapter(Filter)


def _condition(field: str, test: Any) -> Condition:
    if isinstance(test, In):
        return Condition(field, "in", tuple(test.values))
    if isinstance(test, Range):
        return Condition(field, "range", (test.gt, test.gte, test.lt, test.lte))
    return Condition(field, "in", (test,))
