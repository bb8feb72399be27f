"""Bodies that are large, or have much in them: what is said of them is bounded, and so is the work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException

import lurcher.server.app  # noqa: F401 (defines all bodies)
from lurcher.server.bodies import decoded
from lurcher.server.schemas.body import AT_ONCE, Body
from lurcher.server.schemas.feedback import FeedbackRequest
from lurcher.server.schemas.search import BatchRequest, SearchRequest

MANY = 1_000


def bodies(kind: type[Body] = Body) -> Iterator[type[Body]]:
    for below in kind.__subclasses__():
        yield below
        yield from bodies(below)


def lists(node: Any, wrapped: bool = False) -> Iterator[bool]:
    """Of each list of a schema whether it is checked by parts."""
    if isinstance(node, dict):
        kind = node.get("type")
        if kind == "list":
            yield wrapped
        for part in node.values():
            yield from lists(part, kind == "function-wrap")
    elif isinstance(node, list):
        for part in node:
            yield from lists(part)


@pytest.mark.parametrize("body", list(bodies()), ids=lambda body: body.__qualname__)
def test_every_list_of_every_body_is_checked_by_parts(body: type[Body]) -> None:
    assert all(lists(TypeAdapter(body).core_schema))


def wraps(node: Any) -> int:
    """The greatest number of functions around each other in a schema."""
    if isinstance(node, dict):
        own = node.get("type") == "function-wrap"
        return own + max(map(wraps, node.values()), default=0)
    return max(map(wraps, node), default=0) if isinstance(node, list) else 0


def test_a_schema_that_is_asked_for_again_stays_as_it_is() -> None:
    first = wraps(TypeAdapter(BatchRequest).core_schema)
    for _ in range(5):
        again = TypeAdapter(dict[str, BatchRequest]).core_schema
    assert wraps(again) == first > 0


def test_a_list_of_wrong_items_has_no_more_errors_than_are_checked_at_once() -> None:
    with pytest.raises(ValidationError) as raised:
        BatchRequest.model_validate({"queries": [1] * 50 * AT_ONCE})
    errors = raised.value.errors()
    assert [error["loc"] for error in errors] == [("queries", i) for i in range(AT_ONCE)]


def test_an_error_far_in_a_list_names_its_place() -> None:
    queries = ["a"] * (3 * AT_ONCE)
    queries[2 * AT_ONCE + 7] = ""
    with pytest.raises(ValidationError) as raised:
        FeedbackRequest.model_validate({"pairs": [{"query": one, "passage": "{b}"} for one in queries]
                                        + [{"query": "a"}]})  # fmt: skip
    (error,) = raised.value.errors()
    assert error["loc"] == ("pairs", 2 * AT_ONCE + 7, "query")
    assert "at least 1 character" in error["msg"]


def test_a_long_list_is_taken_whole() -> None:
    queries = [str(i) for i in range(2 * AT_ONCE + 1)]
    assert BatchRequest.model_validate({"queries": queries}).queries == queries


def test_unknown_fields_are_counted_where_they_are_many() -> None:
    with pytest.raises(ValidationError) as raised:
        SearchRequest.model_validate({"query": "a"} | {f"k{i}": 1 for i in range(MANY)})
    (error,) = raised.value.errors()
    assert f"has {MANY + 1} fields, at most" in error["msg"]


@pytest.mark.parametrize("part", [b"[]", b"{}", b"[{}]"])
def test_a_body_of_very_many_lists_and_objects_is_refused(part: bytes) -> None:
    body = b"[" + b",".join([part] * 100_001) + b"]"
    with pytest.raises(HTTPException) as raised:
        decoded(body, "", "", len(body))
    assert raised.value.status_code == 413
    assert "lists and objects, at most 100000" in raised.value.detail


def test_brackets_in_texts_do_not_count() -> None:
    body = b'{"query": "' + b'[{\\"' * 200_000 + b'"}'
    assert decoded(body, "", "", len(body)) == body
