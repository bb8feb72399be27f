from __future__ import annotations

import datetime
import math
from typing import Any

import pytest

from lurcher.index_builder.corpus.passage import (
    MAX_DEPTH,
    MAX_ID_BYTES,
    BadRecord,
    Document,
    document_of,
)

SURROGATE = "holds a lone surrogate, which is not valid Unicode"


def nested_lists(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_other_fields_and_the_nested_object_become_metadata() -> None:
    fields = {"_id": 7, "title": None, "text": "t", "year": 2001}
    assert document_of(fields, {"tags": ["a", None, True, 1.5]}) == Document(
        id="7", text="t", title="", metadata={"year": 2001, "tags": ["a", None, True, 1.5]}
    )


def test_equal_ids_under_both_names_are_one_id() -> None:
    assert document_of({"id": "5", "_id": 5, "text": ""}, {}).id == "5"


def test_texts_are_kept_as_they_are() -> None:
    odd = " \x00\x1b\u202e\ufeff عربي 👩‍🚀 e\u0301 "
    passage = document_of({"id": odd, "text": odd, "title": odd, "m": odd}, {})
    assert (passage.id, passage.text, passage.title) == (odd, odd, odd)
    assert passage.metadata == {"m": odd}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (True, "id is a boolean; it must be a string or an integer"),
        (1.0, "id is a float; it must be a string or an integer"),
        (None, "id is null; it must be a string or an integer"),
        (["a"], "id is a list; it must be a string or an integer"),
        ({}, "id is an object; it must be a string or an integer"),
        ("", "id is empty"),
        (" \t\u00a0", "id is blank"),
        ("é" * 257, "id has 514 bytes of UTF-8; the most is 512"),
        ("a\ud800", f"id {SURROGATE}"),
    ],
)
def test_an_id_that_cannot_be_one(value: object, reason: str) -> None:
    with pytest.raises(BadRecord) as caught:
        document_of({"id": value, "text": "t"}, {})
    assert str(caught.value) == reason


def test_the_longest_id() -> None:
    assert len(document_of({"id": "x" * MAX_ID_BYTES, "text": ""}, {}).id) == MAX_ID_BYTES


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"text": "t"}, "id is missing; it is called 'id' or '_id'"),
        ({"id": "a", "_id": "b", "text": "t"}, "id and _id are both there and differ"),
        ({"id": "a"}, "text is missing"),
        ({"id": "a", "text": None}, "text is null; it must be a string"),
        ({"id": "a", "text": 3}, "text is an integer; it must be a string"),
        ({"id": "a", "text": "t", "title": ["x"]}, "title is a list; it must be a string"),
        ({"id": "a", "text": "\udfff"}, f"text {SURROGATE}"),
        ({"id": "a", "text": "t", "title": "\ud83d"}, f"title {SURROGATE}"),
        ({"id": "a", "text": "t", "m": {"k": ["\ud83d"]}}, f"metadata 'm' {SURROGATE}"),
        ({"id": "a", "text": "t", "\ud83d": 1}, f"metadata {SURROGATE}"),
        ({"id": "a", "text": "t", "m": {"\ud83d": 1}}, f"metadata 'm' {SURROGATE}"),
        ({"id": "a", "text": "t", "m": [math.nan]}, "metadata 'm' holds nan, which is not valid"),
        ({"id": "a", "text": "t", "m": -math.inf}, "metadata 'm' holds -inf, which is not valid"),
        ({"id": "a", "text": "t", "m": b"x"}, "metadata 'm' is of type bytes, which JSON cannot"),
        (
            {"id": "a", "text": "t", "m": datetime.date(2020, 1, 1)},
            "metadata 'm' is of type date, which JSON cannot",
        ),
        (
            {"id": "a", "text": "t", "m": nested_lists(MAX_DEPTH)},
            "metadata 'm' is nested more than 100 deep",
        ),
    ],
)
def test_a_record_that_cannot_be_a_passage(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadRecord) as caught:
        document_of(fields, {})
    assert str(caught.value).startswith(reason)
    str(caught.value).encode()


def test_a_key_that_stands_twice() -> None:
    with pytest.raises(BadRecord) as caught:
        document_of({"id": "a", "text": "t", "year": 1}, {"year": 1})
    assert str(caught.value) == "'year' is both a field of the record and a key of its metadata"


def test_the_deepest_metadata() -> None:
    value = nested_lists(MAX_DEPTH - 1)
    assert document_of({"id": "a", "text": "t", "m": value}, {}).metadata == {"m": value}


def test_a_long_key_is_cut_in_the_reason() -> None:
    with pytest.raises(BadRecord) as caught:
        document_of({"id": "a", "text": "t", "k" * 1000: math.inf}, {})
    assert str(caught.value).startswith(f"metadata '{'k' * 79}…' holds inf")
