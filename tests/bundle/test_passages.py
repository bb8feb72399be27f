"""Passages come back as they went in, and filters say what plain Python would."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.bundle.passages import Condition, Passage, Passages, PassageWriter
from lurcher.errors import BundleCorrupt, FieldError
from tests.bundle.written import written

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(texts, v, max_size=3), max_leaves=6
)
passages = st.lists(
    st.builds(Passage, texts, texts, texts, st.dictionaries(texts, values, max_size=4)),
    max_size=8,
    unique_by=lambda p: p.id,
)


@given(passages)
def test_passages_come_back_as_they_went_in(passages: list[Passage]) -> None:
    with written(passages) as opened:
        rows = range(len(passages))
        assert opened.count == len(passages)
        assert opened.get(rows) == passages
        assert [p.id for p in opened.get(rows)] == [p.id for p in passages]


def test_passages_come_in_the_order_asked_and_as_often() -> None:
    with written([Passage(str(i), "text") for i in range(5)]) as opened:
        assert [p.id for p in opened.get(np.array([3, 0, 3]))] == ["3", "0", "3"]
        assert [p.id for p in opened.get(np.array([3, 0, 3]))] == ["3", "0", "3"]
        assert opened.get([]) == []


@given(passages, st.lists(texts, max_size=5))
def test_rows_of_ids_are_where_their_passages_are(
    passages: list[Passage], others: list[str]
) -> None:
    with written(passages) as opened:
        rows = {passage.id: row for row, passage in enumerate(passages)}
        asked = [*rows, *others]
        assert opened.rows_of(asked) == {id_: rows[id_] for id_ in asked if id_ in rows}


def test_rows_of_more_ids_than_one_statement_takes() -> None:
    with written([Passage(str(i), "") for i in range(3)]) as opened:
        asked = [str(i) for i in range(40_000, -1, -1)]
        assert opened.rows_of(asked) == {"0": 0, "1": 1, "2": 2}


def test_what_is_encoded_is_title_and_text() -> None:
    assert Passage("1", "text", "title").content == "title text"
    assert Passage("1", "text").content == "text"
    assert Passage("1", " \n", "").content == ""


@pytest.mark.parametrize("text", ["a\x00b", "\x00", "\x00\x01\x1f\x7f", "\u202eabc", "𝔘\ufffe"])
def test_odd_characters_survive_in_every_place(text: str) -> None:
    passage = Passage(f"id{text}", text, text, {f"f{text}": text})
    with written([passage]) as opened:
        assert opened.get([0]) == [passage]
        assert opened.rows([Condition(f"f{text}", "in", (text,))]).tolist() == [0]
        assert not opened.rows([Condition(f"f{text}", "in", (text[:1] + "x",))]).size


# Filters; test_filters_by_twin.py has their meaning in full.


@pytest.fixture(scope="module")
def library() -> Iterator[Passages]:
    with written(
        [
            Passage("a", "", metadata={"lang": "en", "year": 1999, "tags": ["x", "y"], "ok": True}),
            Passage("b", "", metadata={"lang": "de", "year": 2005.5, "tags": ["y"], "ok": False}),
            Passage("c", "", metadata={"lang": "en", "year": "unknown", "tags": []}),
            Passage("d", "", metadata={"year": 2**64, "place": {"lang": "en"}}),
        ]
    ) as opened:
        yield opened


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        (Condition("lang", "in", ("en",)), [0, 2]),
        (Condition("lang", "in", ("en", "de")), [0, 1, 2]),
        (Condition("lang", "in", ()), []),
        (Condition("lang", "in", (None, "de")), [1]),
        (Condition("tags", "in", ("y",)), [0, 1]),
        (Condition("ok", "in", (True,)), [0]),
        (Condition("ok", "in", (0,)), [1]),
        (Condition("year", "in", (1999.0,)), [0]),
        (Condition("year", "range", (None, 1999, None, None)), [0, 1, 3]),
        (Condition("year", "range", (1999, None, None, None)), [1, 3]),
        (Condition("year", "range", (None, None, 2005.5, None)), [0]),
        (Condition("year", "range", (None, 1999, None, 2005.5)), [0, 1]),
        (Condition("year", "range", (None, "a", None, None)), [2]),
        (Condition("lang", "range", (None, "d", "e", None)), [1]),
    ],
)
def test_equality_and_ranges_by_example(
    library: Passages, condition: Condition, rows: list[int]
) -> None:
    assert library.rows([condition]).tolist() == rows


def test_conditions_hold_together(library: Passages) -> None:
    both = [Condition("lang", "in", ("en",)), Condition("tags", "in", ("x",))]
    assert library.rows(both).tolist() == [0]


def test_without_a_condition_every_passage_passes(library: Passages) -> None:
    assert library.rows([]).tolist() == [0, 1, 2, 3]


def test_an_unknown_field_is_an_error_that_names_those_there_are(library: Passages) -> None:
    with pytest.raises(FieldError, match="there are: lang, ok, tags, year") as caught:
        library.rows([Condition("places", "in", ("en",))])
    assert caught.value.field == "filter.places"


def test_an_error_names_no_more_fields_than_can_be_read() -> None:
    wide = Passage("a", "", "text", {f"field{i:03}": i for i in range(500)})
    with written([wide]) as passages, pytest.raises(FieldError) as error:
        passages.rows([Condition("colour", "in", ("red",))])
    assert error.value.reason.endswith("field018, field019 and 480 more")


def test_passages_without_metadata_have_no_fields() -> None:
    with written([Passage("a", "")]) as opened:
        assert opened.fields == []
        with pytest.raises(FieldError, match="there are: none"):
            opened.rows([Condition("lang", "in", ("en",))])


# Writing in pieces.


def test_a_writer_goes_on_after_the_last_transaction(tmp_path: Path) -> None:
    path = tmp_path / "passages.db"
    first = PassageWriter(path)
    first.append([Passage("a", "one"), Passage("b", "two")], records=3, skipped=1)
    first.close()
    second = PassageWriter(path)
    assert (second.count, second.records, second.skipped) == (2, 3, 1)
    assert second.owners({"a", "c"}) == {"a": "a"}
    second.append([Passage("c", "three")], records=4, skipped=1)
    second.finish()
    opened = Passages(path)
    assert [p.id for p in opened.get(range(opened.count))] == ["a", "b", "c"]
    opened.close()


def test_what_a_kill_interrupts_never_was(tmp_path: Path) -> None:
    path = tmp_path / "passages.db"
    writer = PassageWriter(path)
    writer.append([Passage("a", "one")], records=1, skipped=0)
    with pytest.raises(sqlite3.IntegrityError):  # stands for anything that ends it midway
        writer.append([Passage("b", "two"), Passage("a", "again")], records=3, skipped=0)
    writer.close()
    again = PassageWriter(path)
    assert (again.count, again.records, again.owners({"b"})) == (1, 1, {})
    again.close()


def test_a_finished_file_opened_again_is_known_to_be_finished(tmp_path: Path) -> None:
    """The kill came after the file was finished and before the build took note of it."""
    path = tmp_path / "passages.db"
    writer = PassageWriter(path)
    writer.append([Passage("a", "one", metadata={"f": 1})], records=2, skipped=1)
    writer.finish()
    again = PassageWriter(path)
    assert (again.count, again.records, again.skipped) == (1, 2, 1)
    again.finish()
    opened = Passages(path)
    assert opened.rows([Condition("f", "in", (1,))]).tolist() == [0]
    opened.close()


def test_a_finished_file_stands_alone(tmp_path: Path) -> None:
    writer = PassageWriter(tmp_path / "passages.db")
    writer.append([Passage("a", "one")], 1, 0)
    writer.finish()
    assert [p.name for p in tmp_path.iterdir()] == ["passages.db"]


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\x00 but no more", b"\x00" * 5_000])
def test_a_file_that_is_no_database_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "passages.db"
    path.write_bytes(content)
    with pytest.raises(BundleCorrupt, match=r"passages\.db"):
        Passages(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleCorrupt, match=r"passages\.db"):
        Passages(tmp_path / "passages.db")


def test_in_a_file_of_format_2_each_passage_is_a_document(tmp_path: Path) -> None:
    path = tmp_path / "passages.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript("""
            CREATE TABLE passages(row INTEGER PRIMARY KEY, id TEXT, title TEXT, text TEXT, metadata TEXT);
            CREATE TABLE attributes(field TEXT, value, row INTEGER);
            INSERT INTO passages VALUES (0, 'a', 'T', 'text', '{"f": 1}');
        """)
    opened = Passages(path)
    assert opened.get([0]) == [Passage("a", "text", "T", {"f": 1}, "a", (), 0, 4)]
    assert opened.contents([0]) == ["T text"]
    assert opened.documents(np.array([0])) == ["a"]
    assert opened.parts(["a"]) == {}
    opened.close()


def test_places_come_back_as_they_went_in() -> None:
    parts = [
        Passage(f"d#{n}", "t", "T", {}, "d", ("A", "B > C"), n, n + 1, "x", "u") for n in (1, 2)
    ]
    with written([*parts, Passage("e", "")]) as opened:
        assert opened.get(range(2)) == parts
        assert opened.parts(["d", "e", "d#1"]) == {"d": ["d#1", "d#2"]}
        assert opened.contents([0]) == ["T > A > B > C t"]
