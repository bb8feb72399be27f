"""Sums of judgements: what is left of any adding and taking back is what its plain twin says."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.feedback.aggregation import Aggregation, Limits, PairKey, pair_key

Judged = tuple[str, str, str, float]  # query, passage, client, weight

judged = st.tuples(
    st.sampled_from(["x", " X", "y  z", "Y Z"]), st.sampled_from(["p", "q"]),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from([0.1, 0.2, 0.3, 1.0, 1e-300, 1e16, 7.7]) | st.floats(0.01, 1_000),
)  # fmt: skip


def twin(left: list[Judged], limits: Limits) -> dict[PairKey, Fraction]:
    """The weights by the plain meaning of the words."""
    sums: dict[PairKey, dict[str, Fraction]] = {}
    for query, passage, client, weight in left:
        by = sums.setdefault((" ".join(query.lower().split()), passage), {})
        by[client] = by.get(client, Fraction(0)) + Fraction(weight)
    return {
        pair: sum((min(Fraction(limits.client_weight), w) for w in by.values()), Fraction(0))
        for pair, by in sums.items()
        if len(by) >= limits.clients
    }


@given(
    st.lists(judged, max_size=12), st.data(), st.integers(1, 3), st.sampled_from([0.5, 1.0, 10.0])
)
def test_weights_are_those_of_what_is_left(
    added: list[Judged], data: st.DataObject, clients: int, most: float
) -> None:
    limits = Limits(clients, most)
    tally = Aggregation(limits)
    for one in added:
        tally.add(*one)
    left = list(added)
    for i in sorted(data.draw(st.sets(st.integers(0, 11))), reverse=True):
        if i < len(left):
            tally.take_back(*left.pop(i))
    wanted = twin(left, limits)
    assert dict(tally.weights()) == wanted
    for query, passage, _, _ in added:
        key = pair_key(query, passage)
        assert tally.weight(key) == wanted.get(key, 0)


def test_a_query_is_named_as_it_was_first_given() -> None:
    tally = Aggregation(Limits())
    tally.add(" The  Cat", "p", "a", 1.0)
    tally.add("the cat", "q", "a", 1.0)
    assert tally.text(pair_key("the CAT", "q")) == "The Cat"
    tally.take_back("The Cat", "p", "a", 1.0)
    assert tally.text(("the cat", "q")) == "The Cat"
    tally.take_back("the cat", "q", "a", 1.0)
    assert tally.text(("the cat", "q")) == "the cat"
    assert list(tally.weights()) == []


def test_what_was_never_added_cannot_be_taken_back() -> None:
    with pytest.raises(KeyError):
        Aggregation(Limits()).take_back("q", "p", "a", 1.0)
