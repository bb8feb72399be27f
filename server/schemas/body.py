"""The base of all request bodies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, ValidationError, ValidatorFunctionWrapHandler
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError

from lurcher.retrieval.given_fields import GivenFields

# Items of a list that are checked together, and the errors of as many that are told.
AT_ONCE = 1_000


@dataclass(frozen=True)
class _ByParts:
    """Checks a list, looking no further than the first items with errors; ``most`` is its greatest length."""

    most: int | None

    def __call__(self, given: Any, check: ValidatorFunctionWrapHandler) -> Any:
        """What ``check`` makes of the list ``given``."""
        if not isinstance(given, list) or len(given) <= AT_ONCE:
            return check(given)
        if self.most is not None:
            return check(given[: self.most + 1])  # the parts would each be short enough
        found: list[Any] = []
        for first in range(0, len(given), AT_ONCE):
            try:
                found += check(given[first : first + AT_ONCE])
            except ValidationError as error:
                raise _moved(error, first) from None
        return found


def _moved(error: ValidationError, first: int) -> ValidationError:
    """``error`` of items of which the one called 0 stands at the place ``first``."""
    details: list[InitErrorDetails] = []
    for one in error.errors(include_url=False, include_context=False):
        place, *rest = one["loc"] or (0,)
        loc = (first + place, *rest) if isinstance(place, int) else (place, *rest)
        kind = PydanticCustomError(one["type"], one["msg"].replace("{", "{{"))
        details.append(InitErrorDetails(type=kind, loc=loc, input=one["input"]))
    return ValidationError.from_exception_data(error.title, details)


def _check_lists_by_parts(node: Any) -> None:
    """Let all lists of a schema, at any depth, be checked some items at a time.

    pydantic keeps schemas and asks for them again, so that those of some lists may be done already.
    """
    if isinstance(node, list):
        for part in node:
            _check_lists_by_parts(part)
    elif isinstance(node, dict):
        if isinstance(node.get("function"), dict) and isinstance(
            node["function"].get("function"), _ByParts
        ):
            node = node["schema"]
        elif node.get("type") == "list":
            whole = dict(node)
            function = {"type": "no-info", "function": _ByParts(whole.get("max_length"))}
            node.clear()
            node.update(type="function-wrap", function=function, schema=whole)
            node = whole
        for part in node.values():
            _check_lists_by_parts(part)


class Body(GivenFields):
    """A request body, of whose lists the first thousand wrong items are errors at most.

    A megabyte may hold 500,000, and to make errors of them all took four seconds.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The schema, in which every list is checked some items at a time."""
        schema = handler(source)
        _check_lists_by_parts(schema)
        return schema
