"""The state machine: after any requests and restarts it is what a plain model of the words says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.errors import FeedbackNotKept, FieldError
from lurcher.feedback.aggregation import Aggregation, Limits
from lurcher.feedback.log import FeedbackLog
from lurcher.feedback.online import Change
from lurcher.feedback.records import Pair, Removal, Submission
from lurcher.feedback.state import Counts, FeedbackState, FoldedLog, Outcome, Receipt, Request
from lurcher.text import normalised
from tests.feedback.logs import memory_log, quick_path

PASSAGES = ["p0", "p1", "p2"]

Weights = dict[tuple[str, str], float]


def one(
    *pairs: Pair, client: str = "c", key: str = "k", time: float = 1.0, request: str = ""
) -> Submission:
    return Submission(client, time, key, pairs, request)


def fresh(
    limits: Limits | None = None, most_pairs: int = 50_000, folded: FoldedLog | None = None
) -> FeedbackState:
    return FeedbackState(memory_log(), limits or Limits(), most_pairs, folded)


def commit(state: FeedbackState, request: Request) -> tuple[Outcome, list[Change]]:
    (outcome,), changes = state.commit([request])
    return outcome, changes


def weights(changes: Sequence[Change]) -> Weights:
    return {(normalised(c.query), c.passage): c.weight for c in changes}


def model_weights(left: Sequence[Submission], clients: int, cap: float) -> Weights:
    """The weights by the plain meaning of the words, from the judgements that are left."""
    sums: dict[tuple[str, str], dict[str, Fraction]] = {}
    for submission in left:
        for pair in submission.pairs:
            by = sums.setdefault((normalised(pair.query), pair.passage), {})
            given_before = by.get(submission.client, Fraction(0))
            by[submission.client] = given_before + Fraction(pair.weight)
    return {
        pair: float(sum(min(Fraction(cap), weight) for weight in by.values()))
        for pair, by in sums.items()
        if len(by) >= clients
    }


def without(left: Sequence[Submission], removal: Removal) -> list[Submission]:
    limit = float("-inf") if removal.before is None else removal.before
    return [s for s in left if s.key not in removal.keys and s.time >= limit]


few = st.sampled_from(["a", "b", "c"])
pairs = st.builds(
    Pair,
    st.sampled_from(["x", " X", "y  z", "Y Z"]),
    st.sampled_from(PASSAGES),
    st.sampled_from([0.1, 0.2, 0.3, 1.0, 1e-300, 1e16, 7.7]) | st.floats(0.01, 1_000),
)
submissions = st.builds(
    Submission, few, st.floats(0, 9), few, st.lists(pairs, max_size=4).map(tuple),
    st.sampled_from(["one", "another"]), st.lists(st.integers(0, 9), max_size=1).map(tuple),
)  # fmt: skip
removals = st.builds(
    Removal, st.just(0.0), st.lists(few, max_size=2).map(tuple), st.none() | st.floats(0, 9)
)


@dataclass
class Model:
    """What a server owes its callers, in plain lists and dicts."""

    left: list[Submission] = field(default_factory=list)
    receipts: dict[tuple[str, str], Receipt] = field(default_factory=dict)
    records: int = 0

    def commit(self, request: Request, limits: Limits) -> object:
        """The answer; the class of the error where it is one."""
        if isinstance(request, Removal):
            before, had = sum(len(s.pairs) for s in self.left), len(self.left)
            self.left = without(self.left, request)
            kept = {(s.client, s.key) for s in self.left}
            self.receipts = {key: r for key, r in self.receipts.items() if key in kept}
            self.records += len(self.left) < had
            return before - sum(len(s.pairs) for s in self.left)
        key = request.client, request.key
        if key in self.receipts:
            (known,) = (s for s in self.left if (s.client, s.key) == key)
            return self.receipts[key] if known.request == request.request else FieldError
        if not request.pairs:
            return Receipt(0, request.refused, 0)
        self.left.append(request)
        self.records += 1
        counted = model_weights(self.left, limits.clients, limits.client_weight)
        asked = [(normalised(p.query), p.passage) for p in request.pairs]
        held_back = sum(pair not in counted for pair in asked)
        self.receipts[key] = Receipt(len(request.pairs), request.refused, held_back)
        return self.receipts[key]

    def restart(self, limits: Limits) -> None:
        """As if what was taken back had never been given, which receipts then do not count either."""
        again = Model()
        for submission in self.left:
            again.commit(submission, limits)
        self.receipts = again.receipts


@given(
    st.lists(submissions | submissions | removals | st.just("restart"), max_size=12),
    st.integers(1, 3), st.sampled_from([0.5, 1.0, 10.0]),
)  # fmt: skip
def test_it_answers_and_counts_as_the_plain_model_does_through_restarts(
    steps: list[Request | str], clients: int, cap: float
) -> None:
    limits, model, told = Limits(clients, cap), Model(), Weights()
    with quick_path() as path:
        log, _ = FeedbackLog.open(path)
        state = FeedbackState(log, limits)
        for step in steps:
            if isinstance(step, str):
                state.log.close()
                log, content = FeedbackLog.open(path)
                state = FeedbackState(log, limits)
                for submission in content.submissions:
                    state.add(submission)
                model.restart(limits)
            else:
                outcome, changes = commit(state, step)
                wanted = model.commit(step, limits)
                found = outcome.answer
                assert (type(found) if isinstance(found, Exception) else found) == wanted
                told |= weights(changes)
            now = weights(state.changes())
            assert {pair: w for pair, w in told.items() if w} == now
            assert now == model_weights(model.left, clients, cap)
            assert state.log.sequence == model.records
            every = {(normalised(p.query), p.passage) for s in model.left for p in s.pairs}
            judgements = sum(len(s.pairs) for s in model.left)
            assert state.counts == Counts(len(every), len(now), judgements)
        state.log.close()


@given(st.lists(submissions, max_size=6, unique_by=lambda s: (s.client, s.key)), removals)
def test_requests_committed_together_come_to_what_they_come_to_one_by_one(
    group: list[Submission], removal: Removal
) -> None:
    together, singly = fresh(Limits(2)), fresh(Limits(2))
    outcomes, changes = together.commit([*group, removal])
    answers, told = [], Weights()
    for request in (*group, removal):
        outcome, changed = commit(singly, request)
        answers.append(outcome.answer)
        told |= weights(changed)
    assert [outcome.answer for outcome in outcomes] == answers
    assert weights(changes) == told
    assert len(weights(changes)) == len(changes)  # the last word on each, once
    assert together.changes() == singly.changes()


def folded_of(records: Sequence[Request], limits: Limits) -> FoldedLog:
    """What a bundle has that was made after ``records`` of the log."""
    left: list[Submission] = []
    for record in records:
        left = without(left, record) if isinstance(record, Removal) else [*left, record]
    sums = Aggregation(limits)
    for submission in left:
        for pair in submission.pairs:
            sums.add(pair.query, pair.passage, submission.client, pair.weight)
    return FoldedLog(len(records), dict(sums.weights()))


@given(
    st.lists(submissions | removals, max_size=12), st.integers(0, 12), st.integers(1, 3),
    st.integers(1, 3), st.sampled_from([0.5, 1.0, 10.0]),
)  # fmt: skip
def test_with_what_a_bundle_has_it_is_what_all_of_the_log_gives(
    requests: list[Request], sequence: int, then: int, clients: int, cap: float
) -> None:
    """A bundle was made after some records, by other limits perhaps; the server starts anew on it."""
    written = fresh(Limits(clients, cap))
    for request in requests:
        commit(written, request)
    records: list[Request] = written.log.records  # type: ignore[attr-defined]  # a memory log
    folded = folded_of(records[:sequence], Limits(then, cap))
    state, told = fresh(Limits(clients, cap), folded=folded), Weights()
    for record in records[:sequence]:
        commit(state, record)
    told |= weights(state.changes())
    for record in records[sequence:]:
        told |= weights(commit(state, record)[1])
    now = weights(state.changes())
    assert {pair: w for pair, w in told.items() if w} == now
    left: list[Submission] = []
    for record in records:
        left = without(left, record) if isinstance(record, Removal) else [*left, record]
    again = fresh(Limits(clients, cap), folded=folded)
    for submission in left:
        again.add(submission)
    assert weights(again.changes()) == now
    assert again.counts == state.counts
    whole = model_weights(left, clients, cap)
    for pair in now.keys() | whole.keys():
        # The sums are exact fractions, the model's floats: a sliver more may be none there.
        weight = whole.get(pair, 0.0)
        beyond = max(0.0, weight - float(folded.weights.get(pair, 0)))
        assert now.get(pair, 0.0) == pytest.approx(beyond, abs=1e-6 * weight)


def after_a_fold(*given_: Submission, clients: int = 1) -> FeedbackState:
    """As a server starts on a bundle into which these were put."""
    limits = Limits(clients, 10.0)
    state = fresh(limits, most_pairs=2, folded=folded_of(given_, limits))
    for submission in state.log.append(given_):
        state.add(submission)
    return state


def test_a_vote_that_was_held_back_when_the_bundle_was_made_counts_once_another_agrees() -> None:
    state = after_a_fold(one(Pair("q", "p1", 1.0)), clients=2)
    assert state.changes() == []
    outcome, changes = commit(state, one(Pair("q", "p1", 1.0), client="d"))
    assert (outcome, changes) == (Outcome(Receipt(1, (), 0)), [Change("q", "p1", 2.0)])


def test_what_the_bundle_has_is_not_told_again_and_the_cap_and_the_key_outlive_it() -> None:
    first = one(Pair("q", "p1", 8.0), request="digest")
    state = after_a_fold(first)
    assert state.changes() == []
    assert commit(state, first) == (Outcome(Receipt(1, (), 0), repeated=True), [])
    _, changes = commit(state, one(Pair("q", "p1", 8.0), key="l"))
    assert changes == [Change("q", "p1", 2.0)]
    assert state.counts == Counts(1, 1, 1)


def test_what_the_bundle_has_takes_no_room_and_stays_there_when_it_is_taken_back() -> None:
    state = after_a_fold(one(Pair("q", "p1", 1.0), Pair("q", "p2", 1.0)))
    assert state.counts == Counts(0, 0, 0)
    commit(state, one(Pair("q", "p1", 1.0), Pair("r", "p1", 1.0), key="l"))
    refused, _ = commit(state, one(Pair("q", "p2", 1.0), key="m"))
    assert isinstance(refused.answer, FeedbackNotKept)
    assert "2 of at most 2 pairs" in str(refused.answer)
    for key, removed, changes in (
        ("k", 0, [Change("q", "p1", 0.0)]), ("l", 2, [Change("r", "p1", 0.0)]),
    ):  # fmt: skip
        assert commit(state, Removal(0.0, keys=(key,))) == (Outcome(removed), changes)
    assert state.counts.pairs == 0


def test_changes_name_the_query_as_it_was_first_given() -> None:
    state = fresh()
    _, changes = commit(state, one(Pair(" The  Cat", "p1", 1.0)))
    assert changes == [Change("The Cat", "p1", 1.0)]
    _, changes = commit(state, one(Pair("the cat", "p1", 2.0), key="l"))
    assert changes == [Change("The Cat", "p1", 3.0)]


def test_a_client_counts_for_no_more_than_the_cap() -> None:
    state = fresh(Limits(client_weight=2.0))
    commit(state, one(Pair("q", "p1", 1.5), Pair("q", "p1", 1.5)))
    assert state.changes() == [Change("q", "p1", 2.0)]
    assert commit(state, one(Pair("q", "p1", 9.0), key="l", time=2.0))[1] == []
    other = one(Pair("q", "p1", 1.0), client="d", time=3.0)
    assert commit(state, other)[1] == [Change("q", "p1", 3.0)]
    # What the cap kept out counts when what it let in is taken back.
    assert commit(state, Removal(0.0, before=2.0)) == (Outcome(2), [])
    assert state.changes() == [Change("q", "p1", 3.0)]


def test_a_pair_is_held_back_until_enough_clients_gave_it() -> None:
    state = fresh(Limits(clients=2))
    outcome, changes = commit(state, one(Pair("q", "p1", 1.0), Pair("r", "p2", 1.0)))
    assert (outcome.answer, changes) == (Receipt(2, (), 2), [])
    outcome, changes = commit(state, one(Pair("q", "p1", 1.0), key="l"))
    assert (outcome.answer, changes) == (Receipt(1, (), 1), [])  # the same client again
    outcome, changes = commit(state, one(Pair("Q", "p1", 1.0), client="d", time=3.0))
    assert (outcome.answer, changes) == (Receipt(1, (), 0), [Change("q", "p1", 3.0)])
    assert state.counts == Counts(2, 1, 4)
    assert commit(state, Removal(0.0, before=3.0))[1] == [Change("q", "p1", 0.0)]


def test_a_key_stands_for_one_request_of_one_client() -> None:
    state = fresh()
    first = replace(one(Pair("q", "p1", 1.0), request="digest"), refused=(3,))
    receipt = Receipt(1, (3,), 0)
    assert commit(state, first)[0] == Outcome(receipt)
    assert commit(state, replace(first, time=9.0))[0] == Outcome(receipt, repeated=True)
    assert commit(state, replace(first, client="d"))[0] == Outcome(receipt)
    refused, _ = commit(state, replace(first, request="other"))
    assert isinstance(refused.answer, FieldError)
    assert refused.answer.field == "Idempotency-Key"
    assert state.counts.judgements == 2
    commit(state, Removal(0.0, keys=("k",)))
    assert commit(state, first)[0] == Outcome(receipt)


def test_room_is_for_so_many_pairs_and_judgements() -> None:
    state = fresh(most_pairs=2)
    commit(state, one(Pair("q", "p1", 1.0), Pair("q", "p2", 1.0)))
    full, _ = commit(state, one(Pair("Q ", "p1", 1.0), Pair("r", "p1", 1.0), key="l"))
    assert isinstance(full.answer, FeedbackNotKept)
    assert "2 of at most 2 pairs" in str(full.answer)
    assert "adapt --from-log" in str(full.answer)
    assert state.log.sequence == 1
    assert commit(state, one(Pair("Q ", "p1", 1.0), key="l"))[0] == Outcome(Receipt(1, (), 0))
    many, _ = commit(state, one(*[Pair("q", "p1", 1.0)] * 18, key="m"))
    assert isinstance(many.answer, FeedbackNotKept)
    assert "3 judgements" in str(many.answer)
    commit(state, Removal(0.0, before=9.0))
    assert state.counts == Counts(0, 0, 0)
    assert commit(state, one(Pair("r", "p1", 1.0)))[0] == Outcome(Receipt(1, (), 0))


def test_room_is_counted_over_what_is_written_together() -> None:
    state = fresh(most_pairs=2)
    group = [one(Pair(f"q{i // 2}", "p1", 1.0), key=str(i)) for i in range(6)]
    outcomes, _ = state.commit(group)
    refused = [isinstance(outcome.answer, FeedbackNotKept) for outcome in outcomes]
    assert refused == [False] * 4 + [True] * 2
    assert state.counts.pairs == 2


def test_a_log_that_cannot_be_written_changes_nothing() -> None:
    failing = [True]

    def fail() -> None:
        if failing:
            raise OSError("No space left on device")

    with quick_path() as path:
        log, _ = FeedbackLog.open(path, before_commit=fail)
        state = FeedbackState(log, Limits())
        outcome, changes = commit(state, one(Pair("q", "p1", 1.0)))
        assert isinstance(outcome.answer, FeedbackNotKept)
        assert "No space left on device" in str(outcome.answer)
        assert (changes, state.changes(), state.counts) == ([], [], Counts(0, 0, 0))
        failing.clear()
        assert commit(state, one(Pair("q", "p1", 1.0)))[0] == Outcome(Receipt(1, (), 0))
        log.close()
