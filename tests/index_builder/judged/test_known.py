"""Merged queries have each id and each text once, and no weight is lost or counted twice."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.index_builder.judged import Known, merge
from lurcher.index_builder.judged.known import MAX_WEIGHT, weight_fault

known_queries = st.builds(
    Known,
    id=st.sampled_from("abcdef"),
    text=st.sampled_from(["cat", " Cat", "the  cat", "The cat\n", "dog", "Straße", "STRASSE"]),
    labels=st.dictionaries(
        # Powers of two, whose sums are exact in any order.
        st.sampled_from(["p", "q", "r"]),
        st.sampled_from([0.25, 1.0, 2.0]),
        min_size=1,
    ),
    source=st.sampled_from(["one.tsv", "two.jsonl"]),
)
groups = st.lists(st.lists(known_queries, max_size=6), max_size=3)


@given(groups)
def test_each_id_is_there_once_as_it_was_said_last(groups: list[list[Known]]) -> None:
    last = {known.id: known for group in groups for known in group}
    merged = merge(*groups)
    assert [known.id for known in merged] == list(last)
    assert merged == list(last.values())
    assert merge(merged) == merged


@given(groups)
def test_the_same_again_replaces_instead_of_doubling(groups: list[list[Known]]) -> None:
    assert merge(*groups, *groups) == merge(*groups)


@given(groups)
def test_what_goes_in_stays_as_it_was(groups: list[list[Known]]) -> None:
    before = repr(groups)
    merge(*groups)
    assert repr(groups) == before


def test_a_later_query_takes_the_place_of_one_with_its_id() -> None:
    old, other = Known("1", "cat", {"p": 1}, "old"), Known("2", "dog", {"q": 1}, "old")
    new = Known("1", "the cat", {"r": 2}, "new")
    assert merge([old, other], [new]) == [new, other]


def test_one_text_under_two_ids_stays_two_queries() -> None:
    first, second = Known("1", "The cat", {"p": 1}, "a"), Known("2", "the  CAT ", {"p": 2}, "b")
    assert merge([first], [second]) == [first, second]


def test_nothing_merges_to_nothing() -> None:
    assert merge() == merge([], []) == []


@pytest.mark.parametrize("weight", [0, 0.0, 5e-324, 1, 2.5, MAX_WEIGHT])
def test_a_weight_from_0_can_be_used(weight: float) -> None:
    assert weight_fault(weight) is None


@pytest.mark.parametrize("weight", [-1, -5e-324, math.nan, math.inf, MAX_WEIGHT + 1, 10**400])
def test_no_other_weight_can(weight: float) -> None:
    fault = weight_fault(weight)
    assert fault is not None
    assert fault.endswith("is not from 0 to 1,000,000,000")
    assert len(fault) < 100
