"""A filter that nothing can meet is refused with what its field holds, never answered by nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from lurcher.bundle.passages import Condition, Passage, Passages, PassageWriter, Scalar
from lurcher.errors import FieldError
from tests.bundle.written import written


@pytest.fixture(scope="module")
def shop() -> Iterator[Passages]:
    metadata = [
        {"year": "2021", "price": 5, "sold": True, "at": {"city": "Bonn"}, "none": None, "id64": 2**64},
        {"year": "1999", "price": 12.5, "at": {"city": "Ulm"}, "tags": [], "rows": [[1], [2]]},
        {"year": "n/a", "at": None, "none": [], "vector": [0.1] * 65, "mixed": [1, "one", None]},
    ]  # fmt: skip
    with written([Passage(str(i), "", metadata=m) for i, m in enumerate(metadata)]) as opened:
        yield opened


def refusal(passages: Passages, condition: Condition) -> str:
    with pytest.raises(FieldError) as caught:
        passages.rows([condition])
    assert caught.value.field == f"filter.{condition.field}"
    return caught.value.reason


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("year", 2021, "2021 is a number, but this field holds texts in 3 passages; compare with a text"),
        ("year", True, "true is not a text, but this field holds texts in 3 passages; compare with a text"),
        ("price", "10", '"10" is a text, but this field holds numbers in 2 passages; compare with a number'),
        ("sold", "true",
         '"true" is a text, but this field holds true or false in 1 passage; compare with true or false'),
        ("at", "Bonn", "is null in 1 passage, an object in 2 passages; nested fields cannot be filtered on"),
        ("at.city", "Bonn", "at is an object in 2 passages; nested fields cannot be filtered on"),
        ("none", 0, "is null in 1 passage, an empty list in 1 passage"),
        ("tags", "a", "is an empty list in 1 passage"),
        ("rows", 1, "is a list of lists in 1 passage; nested lists cannot be filtered on"),
        ("vector", 0.1, "is a list of more than 64 numbers in 1 passage; "
         "long lists of numbers are kept and returned, but not indexed"),
        ("id64", 2.0**64, "cannot be compared with 1.8446744073709552e+19: it holds integers of more than 64 "
         "bits in 1 passage, which are compared with numbers of 64 bits only"),
        ("text", "a",
         "is not metadata, which alone is filtered on; there are: id64, mixed, price, sold, year"),
        ("colour", "a", "no passage has this field; there are: id64, mixed, price, sold, year"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_says_why(
    shop: Passages, field: str, value: Scalar, reason: str
) -> None:
    assert refusal(shop, Condition(field, "in", (value,))) == reason
    if not isinstance(value, bool):
        assert refusal(shop, Condition(field, "range", (None, None, value, None))) == reason


def test_one_value_of_a_choice_that_cannot_be_compared_is_refused(shop: Passages) -> None:
    reason = refusal(shop, Condition("year", "in", ("2021", 1999)))
    assert reason.startswith("1999 is a number")


def test_a_field_of_numbers_and_texts_is_compared_with_both(shop: Passages) -> None:
    assert shop.rows([Condition("mixed", "in", (1,))]).tolist() == [2]
    assert shop.rows([Condition("mixed", "in", ("one",))]).tolist() == [2]
    assert shop.rows([Condition("mixed", "in", ("two",))]).tolist() == []


def test_integers_beyond_64_bits_lie_beyond_all_others(shop: Passages) -> None:
    assert shop.rows([Condition("id64", "range", (5, None, None, None))]).tolist() == [0]
    assert shop.rows([Condition("id64", "range", (None, None, 5, None))]).tolist() == []
    assert shop.rows([Condition("id64", "in", (2**63 - 1,))]).tolist() == []


def test_numbers_of_a_long_list_among_short_ones_are_not_lost_unsaid() -> None:
    short, long = [1, 2], ["tag", *range(65)]
    with written([Passage("a", "", metadata={"f": f}) for f in (short,)] +
                 [Passage("b", "", metadata={"f": long})]) as opened:  # fmt: skip
        assert refusal(opened, Condition("f", "in", (1,))) == (
            "cannot be compared with 1: it holds texts in 1 passage, numbers in 1 passage, "
            "a list of more than 64 numbers in 1 passage; "
            "long lists of numbers are kept and returned, but not indexed"
        )
        assert opened.rows([Condition("f", "in", ("tag",))]).tolist() == [1]


def test_long_names_and_values_are_cut() -> None:
    with written([Passage("a", "", metadata={"n" * 500: 1})]) as opened:
        assert len(refusal(opened, Condition("m", "in", (1,)))) < 150
        assert len(refusal(opened, Condition("n" * 500, "in", ("v" * 5_000,)))) < 250


def test_passages_are_counted_over_all_transactions(tmp_path: Path) -> None:
    writer = PassageWriter(tmp_path / "passages.db")
    for i in range(3):
        writer.append([Passage(str(i), "", metadata={"at": {"city": "Bonn"}})], i + 1, 0)
    writer.finish()
    opened = Passages(tmp_path / "passages.db")
    assert refusal(opened, Condition("at", "in", (1,))).startswith("is an object in 3 passages")
    opened.close()


def test_a_file_of_format_2_compares_texts_as_they_came(tmp_path: Path) -> None:
    path = tmp_path / "passages.db"
    writer = PassageWriter(path)
    writer.append([Passage("a", "", metadata={"f": 1}), Passage("b", "", metadata={"g": 2})], 2, 0)
    writer.finish()
    database = sqlite3.connect(path)
    database.executescript("""
        DROP TABLE kinds;
        UPDATE attributes SET field = 'cafe\u0301', value = 'cafe\u0301' WHERE field = 'f';
    """)
    database.close()
    opened = Passages(path)
    assert opened.fields == ["cafe\u0301", "g"]
    assert opened.rows([Condition("cafe\u0301", "in", ("cafe\u0301",))]).tolist() == [0]
    assert opened.rows([Condition("g", "in", ("2",))]).tolist() == []
    opened.close()
