"""What every query has to meet, wherever it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Passages
from lurcher.errors import FieldError
from lurcher.retrieval.checks import check_unicode, rows_of
from lurcher.retrieval.query import check_candidates, check_text


@pytest.fixture(scope="module")
def passages(small_bundle: Path) -> Iterator[Passages]:
    with closing(Bundle.open(small_bundle)) as bundle:
        yield bundle.passages


@pytest.mark.parametrize(
    ("text", "most", "says"),
    [
        ("", None, "white space"),
        (" \n\t", None, "white space"),
        ("x" * 11, 10, "11 characters, at most 10"),
    ],
)
def test_a_text_that_cannot_be_a_query_is_refused_by_its_field(
    text: str, most: int | None, says: str
) -> None:
    with pytest.raises(FieldError, match=says) as error:
        check_text("queries.3", text, most)
    assert error.value.field == "queries.3"


def test_the_first_text_that_utf_8_cannot_hold_is_named() -> None:
    check_unicode("texts", ["a", "🐈"])
    with pytest.raises(FieldError, match="not valid Unicode") as error:
        check_unicode("texts", ["a", "b \ud800", "\udfff"])
    assert error.value.field == "texts.1"


@pytest.mark.parametrize(("text", "most"), [("x" * 10, 10), ("x" * 100_000, None), ("🐈", 1)])
def test_other_texts_pass(text: str, most: int | None) -> None:
    check_text("query", text, most)


def test_no_fewer_candidates_than_hits_are_ranked() -> None:
    check_candidates("top_k", 10, None)
    check_candidates("top_k", 10, 10)
    with pytest.raises(FieldError, match="at least read_depth, which is 10") as error:
        check_candidates("read_depth", 10, 9)
    assert error.value.field == "candidates"


def test_ids_come_to_rows_in_their_order_however_often_they_are_named(passages: Passages) -> None:
    ids = [passage.id for passage in passages.get([7, 3, 7, 50])]
    assert rows_of(passages, ids).tolist() == [7, 3, 7, 50]
    assert rows_of(passages, []).tolist() == []


def test_the_first_id_that_no_passage_has_is_named(passages: Passages) -> None:
    known = passages.get([0])[0].id
    with pytest.raises(FieldError) as error:
        rows_of(passages, [known, "nobody", "no one"])
    assert error.value.field == "passages.1"
