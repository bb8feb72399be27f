"""Facets: counts of metadata's values are those of the passages, whatever the filter, segments and writes."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lurcher
from lurcher.bundle.field_values import MOST_VALUES, field_values
from lurcher.collection import Collection
from lurcher.errors import FieldError


@pytest.fixture(scope="module")
def small(small_bundle: Path) -> Iterator[Collection]:
    with lurcher.open(small_bundle, threads=1) as collection:
        yield collection


def test_values_come_most_frequent_first(small: Collection) -> None:
    facets = small.facets(["lang", "tags", "flag", "year"], limit=3)
    assert facets["lang"].values == [("de", 20), ("en", 20), ("fr", 20)]
    assert facets["tags"].values == [("even", 30), ("odd", 30), ("animals", 12)]
    assert (facets["tags"].distinct, facets["tags"].passages) == (7, 60)
    assert facets["flag"].values == [(False, 30), (True, 30)]
    assert [type(value) for value, _ in facets["flag"].values] == [bool, bool]
    assert facets["year"].values == [(2000, 3), (2001, 3), (2002, 3)]
    assert facets["year"].distinct == 20


def test_counts_are_of_what_meets_the_filter(
    small: Collection, small_records: list[dict[str, Any]]
) -> None:
    filter = {"year": {"lt": 2007}, "tags": {"in": ["odd", "food"]}}
    met = [
        one["tags"]
        for one in small_records
        if one["year"] < 2007 and {"odd", "food"} & set(one["tags"])
    ]
    wanted = Counter(tag for tags in met for tag in tags)
    found = small.facets(["tags"], filter, limit=100)["tags"]
    assert 0 < len(met) < len(small_records)
    assert dict(found.values) == wanted
    assert (found.distinct, found.passages) == (len(wanted), len(met))


def test_written_and_deleted_passages_count_at_once(small_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "living.lurcher"
    shutil.copytree(small_bundle, path)
    with lurcher.open(path, threads=1, writable=True) as living:
        living.upsert([{"id": "new", "text": "Rain falls.", "lang": "it", "tags": ["odd", "odd"]}])
        living.delete(filter={"lang": "de"})
        assert living.facets(["lang"])["lang"].values == [("en", 20), ("fr", 20), ("it", 1)]
        assert dict(living.facets(["tags"], {"lang": "it"})["tags"].values) == {"odd": 1}
        living.flush()
        assert living.facets(["lang"])["lang"].values == [("en", 20), ("fr", 20), ("it", 1)]


def test_field_that_no_passage_has_is_named(small: Collection) -> None:
    with pytest.raises(FieldError, match="'colour'; there are: flag, lang"):
        small.facets(["colour"])
    with pytest.raises(FieldError, match=r"filter\.colour"):
        small.facets(["lang"], {"colour": "red"})
    with pytest.raises(FieldError, match="at least 1"):
        small.facets(["lang"], limit=0)


_PAIRS = st.lists(
    st.tuples(st.sampled_from([0, 1, 2.5, "a", "b", float("inf")]), st.integers(0, 9))
)


@given(_PAIRS)
def test_each_pair_is_kept_once(pairs: list[tuple[Any, int]]) -> None:
    given = sorted(pairs, key=lambda pair: (isinstance(pair[0], str), *pair))
    held = field_values(given)
    assert held is not None
    kept = [(held.values[code], row) for code, row in zip(held.codes, held.rows, strict=True)]
    assert kept == list(dict.fromkeys(pair for pair in given if pair[0] != float("inf")))


def test_field_of_too_many_values_is_not_kept() -> None:
    assert field_values((i, i) for i in range(MOST_VALUES)) is not None
    assert field_values((i, i) for i in range(MOST_VALUES + 1)) is None
