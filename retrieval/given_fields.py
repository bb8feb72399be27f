"""The base of what callers send as objects: null stands for a field that is not given, and 5.0 for 5."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

_NULL = {"type": "null"}
# Each unknown field is an error of its own, and a body may have room for a hundred thousand.
_MOST_UNKNOWN = 100
# Keywords that stay beside a schema when null is added to it as a second choice.
_ANNOTATIONS = ("title", "description", "default", "examples")


class GivenFields(BaseModel):
    """Fields of which those that are null count as not given; typed clients send all that they know.

    A required field that is null is missing. JSON has one kind of number, so that 5.0 is an integer. Unknown
    fields, unless they are null, and numbers in quotes are errors.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    _integers: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Note which fields are integers."""
        kinds = {name: field.annotation for name, field in cls.model_fields.items()}
        cls._integers = frozenset(n for n, kind in kinds.items() if kind in (int, int | None))

    @model_validator(mode="before")
    @classmethod
    def _as_given(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        whole, most = cls._integers, len(cls.model_fields) + _MOST_UNKNOWN
        if len(given) > most:
            raise ValueError(f"has {len(given)} fields, at most {most} are read")
        return {
            name: int(value)
            if name in whole and isinstance(value, float) and value.is_integer()
            else value
            for name, value in given.items()
            if value is not None
        }

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Describe null as a choice of every field that is not required, known or unknown."""
        reference = handler(core_schema)
        schema = handler.resolve_ref_schema(reference)
        properties = schema.get("properties", {})
        for name in properties.keys() - set(schema.get("required", [])):
            properties[name] = _or_null(properties[name])
        schema["additionalProperties"] = _NULL
        return reference


def _or_null(schema: JsonSchemaValue) -> JsonSchemaValue:
    """Return ``schema`` with null as a second choice."""
    choices = schema.get("anyOf", [])
    if _NULL in choices:
        return schema
    about = {name: schema[name] for name in _ANNOTATIONS if name in schema}
    rest = {name: value for name, value in schema.items() if name not in about}
    return {"anyOf": [*(choices or [rest]), _NULL], **about}
