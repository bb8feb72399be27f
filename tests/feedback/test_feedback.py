"""Judgements added up: what is left after any giving and taking is what its plain twin says."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lurcher.feedback.feedback import Feedback, Folded
from lurcher.feedback.live import Change
from lurcher.feedback.log import Given, Pair, Removal
from lurcher.feedback.tally import Limits, Tally
from lurcher.models.errors import FeedbackNotKept, FieldError
from lurcher.models.text import normalised

ROWS = {"p0": 0, "p1": 1, "p2": 2}

Weights = dict[tuple[str, int], float]
Record = Given | Removal


def one(*pairs: Pair, client: str = "c", key: str = "k", number: int = 1) -> Given:
    return Given(client, float(number), key, pairs, sequence=number)


def apply(feedback: Feedback, record: Record) -> list[Change]:
    if isinstance(record, Removal):
        return feedback.remove(record)[1]
    return feedback.give(record, ROWS)[1]


def weights(changes: list[Change]) -> Weights:
    return {(normalised(c.query), c.row): c.weight for c in changes}


def twin(left: list[Given], clients: int, cap: float) -> Weights:
    """The weights by the plain meaning of the words, from the judgements that are left."""
    sums: dict[tuple[str, int], dict[str, Fraction]] = {}
    for g in left:
        for pair in g.pairs:
            if pair.passage in ROWS:
                by = sums.setdefault((normalised(pair.query), ROWS[pair.passage]), {})
                by[g.client] = by.get(g.client, Fraction(0)) + Fraction(pair.weight)
    return {
        pair: float(sum(min(Fraction(cap), weight) for weight in by.values()))
        for pair, by in sums.items()
        if len(by) >= clients
    }


def left_of(records: list[Record]) -> list[Given]:
    left: list[Given] = []
    for record in records:
        if isinstance(record, Given):
            left.append(record)
        else:
            limit = float("-inf") if record.before is None else record.before
            left = [g for g in left if g.key not in record.keys and g.time >= limit]
    return left


few = st.sampled_from(["a", "b", "c"])
pairs = st.builds(
    Pair,
    st.sampled_from(["x", " X", "y  z", "Y Z"]),
    st.sampled_from([*ROWS, "unknown"]),
    st.sampled_from([0.1, 0.2, 0.3, 1.0, 1e-300, 1e16, 7.7]) | st.floats(0.01, 1_000),
)
records = st.lists(
    st.builds(Given, few, st.floats(0, 9), few, st.lists(pairs, max_size=4).map(tuple))
    | st.builds(
        Removal, st.just(0.0), st.lists(few, max_size=2).map(tuple), st.none() | st.floats(0, 9)
    ),
    max_size=12,
).map(lambda rs: [replace(r, sequence=i) for i, r in enumerate(rs, 1)])


@settings(deadline=None, max_examples=300)
@given(records, st.integers(1, 3), st.sampled_from([0.5, 1.0, 10.0]))
def test_live_weights_are_those_of_a_fresh_replay_and_of_the_twin(
    records: list[Record], clients: int, cap: float
) -> None:
    live, told = Feedback(Limits(clients, cap)), {}
    for record in records:
        changes = apply(live, record)
        assert len(weights(changes)) == len(changes)  # the last word on each, once
        told |= weights(changes)
        now = weights(live.changes())
        assert {pair: w for pair, w in told.items() if w} == now
        assert live.counted == len(now)
    left = left_of(records)
    fresh = Feedback(Limits(clients, cap))
    for g in left:
        fresh.give(g, ROWS)
    assert weights(live.changes()) == weights(fresh.changes()) == twin(left, clients, cap)
    assert (live.pairs, live.counted, live.judgements) == (
        fresh.pairs,
        fresh.counted,
        fresh.judgements,
    )
    assert live.pairs == len(twin(left, 1, cap))


def folded_of(records: list[Record], until: int, limits: Limits) -> Folded:
    """What a bundle has that was made when ``until`` was the last number of the log."""
    tally = Tally(limits)
    for g in left_of([record for record in records if record.sequence <= until]):
        for pair in g.pairs:
            tally.add(pair.query, pair.passage, g.client, pair.weight)
    return Folded(until, dict(tally.weights()))


@settings(deadline=None, max_examples=300)
@given(
    records, st.integers(0, 12), st.integers(1, 3), st.integers(1, 3),
    st.sampled_from([0.5, 1.0, 10.0]),
)  # fmt: skip
def test_with_what_a_bundle_has_it_is_what_all_of_the_log_gives(
    records: list[Record], until: int, then: int, clients: int, cap: float
) -> None:
    """A bundle was made after ``until`` records, by other limits perhaps; the server starts anew on it."""
    folded = folded_of(records, until, Limits(then, cap))
    live, told = Feedback(Limits(clients, cap), folded=folded), {}
    for g in left_of([record for record in records if record.sequence <= until]):
        live.give(g, ROWS)
    told |= weights(live.changes())
    for record in records[until:]:
        told |= weights(apply(live, record))
    now = weights(live.changes())
    assert {pair: w for pair, w in told.items() if w} == now
    fresh = Feedback(Limits(clients, cap), folded=folded)
    for g in left_of(records):
        fresh.give(g, ROWS)
    assert weights(fresh.changes()) == now
    assert (live.pairs, live.counted, live.judgements) == (
        fresh.pairs,
        fresh.counted,
        fresh.judgements,
    )
    whole = twin(left_of(records), clients, cap)
    before = {(q, ROWS[p]): float(w) for (q, p), w in folded.weights.items() if p in ROWS}
    for pair in now.keys() | whole.keys():
        # The sums are exact fractions, the twin's floats: a sliver more may be none there.
        weight = whole.get(pair, 0.0)
        beyond = max(0.0, weight - before.get(pair, 0.0))
        assert now.get(pair, 0.0) == pytest.approx(beyond, abs=1e-6 * weight)


def after_a_fold(*given: Given, clients: int = 1) -> Feedback:
    """As a server starts on a bundle into which ``given`` were put."""
    limits = Limits(clients, 10.0)
    records: list[Record] = list(given)
    folded = folded_of(records, given[-1].sequence, limits)
    feedback = Feedback(limits, most_pairs=2, folded=folded)
    for g in given:
        feedback.give(g, ROWS)
    return feedback


def test_a_vote_that_was_held_back_when_the_bundle_was_made_counts_once_another_agrees() -> None:
    feedback = after_a_fold(one(Pair("q", "p1", 1.0)), clients=2)
    assert feedback.changes() == []
    receipt, changes = feedback.give(one(Pair("q", "p1", 1.0), client="d", number=2), ROWS)
    assert (receipt.held_back, changes) == (0, [Change("q", 1, 2.0)])


def test_what_the_bundle_has_is_not_told_again_and_the_cap_and_the_key_outlive_it() -> None:
    first = replace(one(Pair("q", "p1", 8.0)), request="digest")
    feedback = after_a_fold(first)
    assert feedback.changes() == []
    assert feedback.receipt(first) is not None
    more = one(Pair("q", "p1", 8.0), key="l", number=2)
    assert feedback.give(more, ROWS)[1] == [Change("q", 1, 2.0)]
    assert (feedback.pairs, feedback.counted, feedback.judgements) == (1, 1, 1)


def test_what_the_bundle_has_takes_no_room_and_stays_there_when_it_is_taken_back() -> None:
    feedback = after_a_fold(one(Pair("q", "p1", 1.0), Pair("q", "p2", 1.0)))
    assert (feedback.pairs, feedback.counted, feedback.judgements) == (0, 0, 0)
    new = [Pair("q", "p1", 1.0), Pair("r", "p1", 1.0)]
    feedback.check_room(feedback.new_pairs(new), 2)
    feedback.give(one(*new, key="l", number=2), ROWS)
    with pytest.raises(FeedbackNotKept, match="2 of at most 2 pairs"):
        feedback.check_room(feedback.new_pairs([Pair("q", "p2", 1.0)]), 1)
    assert feedback.remove(Removal(0.0, keys=("k",))) == (0, [Change("q", 1, 0.0)])
    assert feedback.remove(Removal(0.0, keys=("l",))) == (2, [Change("r", 1, 0.0)])
    assert feedback.pairs == 0


def test_changes_name_the_query_as_it_was_first_given() -> None:
    feedback = Feedback(Limits())
    assert feedback.give(one(Pair(" The  Cat", "p1", 1.0)), ROWS)[1] == [Change("The Cat", 1, 1.0)]
    again = one(Pair("the cat", "p1", 2.0), key="l", number=2)
    assert feedback.give(again, ROWS)[1] == [Change("The Cat", 1, 3.0)]


def test_a_client_counts_for_no_more_than_the_cap() -> None:
    feedback = Feedback(Limits(client_weight=2.0))
    feedback.give(one(Pair("q", "p1", 1.5), Pair("q", "p1", 1.5)), ROWS)
    assert feedback.changes() == [Change("q", 1, 2.0)]
    more = one(Pair("q", "p1", 9.0), key="l", number=2)
    assert feedback.give(more, ROWS)[1] == []
    other = one(Pair("q", "p1", 1.0), client="d", number=3)
    assert feedback.give(other, ROWS)[1] == [Change("q", 1, 3.0)]
    # What the cap kept out counts when what it let in is taken back.
    assert feedback.remove(Removal(0.0, before=2.0)) == (2, [])
    assert feedback.changes() == [Change("q", 1, 3.0)]


def test_a_pair_is_held_back_until_enough_clients_gave_it() -> None:
    feedback = Feedback(Limits(clients=2))
    receipt, changes = feedback.give(one(Pair("q", "p1", 1.0), Pair("r", "p2", 1.0)), ROWS)
    assert (receipt.accepted, receipt.held_back, changes) == (2, 2, [])
    receipt, changes = feedback.give(one(Pair("q", "p1", 1.0), key="l", number=2), ROWS)
    assert (receipt.held_back, changes) == (1, [])  # the same client again
    receipt, changes = feedback.give(one(Pair("Q", "p1", 1.0), client="d", number=3), ROWS)
    assert (receipt.held_back, changes) == (0, [Change("q", 1, 3.0)])
    assert (feedback.pairs, feedback.counted) == (2, 1)
    _, changes = feedback.remove(Removal(0.0, before=3.0))
    assert changes == [Change("q", 1, 0.0)]


def test_a_key_stands_for_one_request_of_one_client() -> None:
    feedback = Feedback(Limits())
    asked = replace(one(Pair("q", "p1", 1.0)), request="digest", refused=(3,))
    assert feedback.receipt(asked) is None
    receipt, _ = feedback.give(asked, ROWS)
    assert feedback.receipt(replace(asked, sequence=0, time=9.0)) == receipt
    assert receipt.refused == (3,)
    assert feedback.receipt(replace(asked, client="d")) is None
    with pytest.raises(FieldError, match="Idempotency-Key"):
        feedback.receipt(replace(asked, request="other"))
    feedback.remove(Removal(0.0, keys=("k",)))
    assert feedback.receipt(asked) is None


def test_room_is_for_so_many_pairs_and_judgements() -> None:
    feedback = Feedback(Limits(), most_pairs=2)
    first = one(Pair("q", "p1", 1.0), Pair("q", "p2", 1.0))
    feedback.check_room(feedback.new_pairs(first.pairs), 2)
    feedback.give(first, ROWS)
    known, new = Pair("Q ", "p1", 1.0), Pair("r", "p1", 1.0)
    assert feedback.new_pairs([known, new]) == {("r", "p1")}
    feedback.check_room(feedback.new_pairs([known]), 1)
    with pytest.raises(FeedbackNotKept, match=r"2 of at most 2 pairs.*adapt --from-log"):
        feedback.check_room({("r", "p1")}, 1)
    with pytest.raises(FeedbackNotKept, match="2 judgements"):
        feedback.check_room(set(), 19)
    feedback.remove(Removal(0.0, keys=("k",)))
    assert feedback.pairs == feedback.judgements == 0
    feedback.check_room({("r", "p1")}, 1)
