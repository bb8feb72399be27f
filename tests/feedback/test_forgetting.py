"""What was judged of a passage that has another text now counts no more, also where the bundle has it."""

from __future__ import annotations

from fractions import Fraction

from lurcher.feedback.aggregation import Limits
from lurcher.feedback.online import Change
from lurcher.feedback.records import Pair, Removal, Submission
from lurcher.feedback.state import Counts, FeedbackState, FoldedLog, Forgetting, Outcome
from tests.feedback.logs import memory_log


def given(key: str, *passages: str) -> Submission:
    return Submission("c", 1.0, key, tuple(Pair("q", id_, 2.0) for id_ in passages))


def fresh(folded: FoldedLog | None = None) -> FeedbackState:
    return FeedbackState(memory_log(), Limits(), folded=folded)


def test_judgements_of_a_passage_are_forgotten_and_others_stay() -> None:
    state = fresh()
    state.commit([given("a", "p", "other"), given("b", "p")])
    outcomes, changes = state.commit([Forgetting(frozenset({"p", "unknown"}))])
    assert outcomes == [Outcome(2)]
    assert changes == [Change("q", "p", 0.0)]
    assert state.counts == Counts(1, 1, 1)
    assert state.judged(["p", "other"]) == {"other"}
    assert state.log.sequence == 2  # the bundle says it, and not the log
    # A request that is repeated is answered as before; what is new of the passage counts.
    (again,), _ = state.commit([given("a", "p", "other")])
    assert again.repeated
    _, changes = state.commit([given("c", "p")])
    assert changes == [Change("q", "p", 2.0)]
    assert state.commit([Removal(2.0, ("a", "b", "c"))])[0] == [Outcome(2)]
    assert state.counts == Counts(0, 0, 0)


def test_what_the_bundle_had_of_it_does_not_hold_back_what_is_new() -> None:
    weights = {("q", "p"): Fraction(2), ("q", "other"): Fraction(2)}
    state = fresh(FoldedLog(1, weights))
    state.add(Submission("c", 1.0, "a", given("a", "p", "other").pairs, sequence=1))
    state.log.sequence = 1
    state.commit([Forgetting(frozenset({"p"}))])
    _, changes = state.commit([given("b", "p", "other")])
    assert sorted((c.passage, c.weight) for c in changes) == [("other", 2.0), ("p", 2.0)]
