"""Bodies that are large, or have much in them: what is said of them is bounded, and so is the work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException

import lurcher.server.app  # noqa: F401 (defines all bodies)
from lurcher.server.bodies import decoded
from lurcher.server.schemas.body import Body
from lurcher.server.schemas.search import BatchRequest, SearchRequest

MANY = 1_000


def bodies(kind: type[Body] = Body) -> Iterator[type[Body]]:
    for below in kind.__subclasses__():
        yield below
        yield from bodies(below)


def lists(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if node.get("type") == "list":
            yield node
        for part in node.values():
            yield from lists(part)
    elif isinstance(node, list):
        for part in node:
            yield from lists(part)


@pytest.mark.parametrize("body", list(bodies()), ids=lambda body: body.__qualname__)
def test_every_list_of_every_body_ends_at_its_first_wrong_item(body: type[Body]) -> None:
    found = list(lists(TypeAdapter(body).core_schema))
    assert all(one.get("fail_fast") for one in found)


def test_a_list_of_wrong_items_is_one_error() -> None:
    with pytest.raises(ValidationError) as raised:
        BatchRequest.model_validate({"queries": [1] * MANY})
    assert [error["loc"] for error in raised.value.errors()] == [("queries", 0)]


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
