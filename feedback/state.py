"""The state machine of feedback: log, sums and receipts, which change together by ``commit``.

All of the log is added up, also what the bundle has of it: a pair that was held back when the bundle was
made counts once more clients agree, and nobody goes beyond the cap by a new bundle. A search is told of
a pair what it weighs beyond its weight in the bundle.

::

    commit(records)   each in turn:  known key ── its receipt again, or FieldError for another request
                                     nothing taken, or taken back ── answered, nothing written
                                     no room ── FeedbackNotKept
                      the rest:      written to the log together, or FeedbackNotKept
                                     then added up: receipts, and changes for searches
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from lurcher.errors import FeedbackNotKept, FieldError, LurcherError
from lurcher.feedback.aggregation import Aggregation, Limits, PairKey, pair_key
from lurcher.feedback.log import Log
from lurcher.feedback.online import Change
from lurcher.feedback.records import LimitsChange, Pair, Record, Removal, Submission

# Judgements that are kept to be taken back, on the average of all pairs; beyond it memory would grow
# without limit by the same few pairs.
_JUDGEMENTS_A_PAIR = 10
# Of a log, from which on nothing more is taken: pairs may be long, and their number does not bound the disk.
MOST_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a request: pairs taken, indices of those refused, and how many do not count yet."""

    accepted: int
    refused: tuple[int, ...]
    held_back: int


@dataclass(frozen=True, slots=True)
class Forgetting:
    """What was judged of ``passages`` counts no more: they are gone, or their texts are others now.

    It is in no log: the bundle says since when a passage has its text.
    """

    passages: frozenset[str]


Request = Submission | Removal | Forgetting
Answer = Receipt | int  # of what takes judgements back: how many


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a request; ``repeated`` where the same request was answered before."""

    answer: Answer | LurcherError
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class FoldedLog:
    """What the bundle has of the log: records up to the number ``sequence``, which gave ``weights``."""

    sequence: int = 0
    weights: Mapping[PairKey, Fraction] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counts:
    """What is live: judgements beside those that the bundle has.

    ``pairs`` are different ones, ``counted`` those of them that enough clients gave.
    """

    pairs: int
    counted: int
    judgements: int


@dataclass(frozen=True, slots=True)
class _Was:
    """What a pair was before a change: whether it counted as live, and its weight for searches."""

    counted: bool
    weight: float


class FeedbackState:
    """All judgements of a log that are left; for one thread at a time."""

    def __init__(
        self, log: Log, limits: Limits, most_pairs: int = 50_000,
        folded: FoldedLog | None = None, most_bytes: int = MOST_BYTES,
    ) -> None:  # fmt: skip
        """Count by ``limits``; take in at most ``most_pairs`` beside those that the bundle has.

        Nothing more is taken once the log has ``most_bytes``, but removals are.
        """
        self.log = log
        self.most_pairs, self.most_bytes = most_pairs, most_bytes
        self._counted = 0
        self._judgements = 0
        self._folded = FoldedLog() if folded is None else folded
        self._sums = Aggregation(limits)
        self._live: dict[PairKey, int] = {}  # judgements that the bundle has not
        # By number, to be taken back: as given, without passages that do not count.
        self._submissions: dict[int, Submission] = {}
        self._of_passage: dict[str, set[int]] = {}  # the numbers of what names it
        self._receipts: dict[tuple[str, str], tuple[int, Receipt]] = {}  # by client and key

    @property
    def counts(self) -> Counts:
        """How much counts beside what the bundle has."""
        return Counts(len(self._live), self._counted, self._judgements)

    def judged(self, passages: Iterable[str]) -> frozenset[str]:
        """Those of ``passages`` that anything was judged of; from any thread."""
        return frozenset(id_ for id_ in passages if self._of_passage.get(id_))

    def commit(self, requests: Sequence[Request]) -> tuple[list[Outcome], list[Change]]:
        """The outcome of each of ``requests``, in order, and the pairs whose weight changed.

        A client's key may be there once, and what takes judgements back comes last. What is accepted is on
        the disk when this returns; where the log cannot be written, nothing is changed.
        """
        outcomes = self._without_writing(requests)
        fresh = [place for place, outcome in enumerate(outcomes) if outcome is None]
        changes: dict[PairKey, Change] = {}  # the last word on each
        logged = [one for place in fresh if not isinstance(one := requests[place], Forgetting)]
        try:
            written = iter(self.log.append(logged) if logged else ())
        except LurcherError as error:
            for place in fresh:
                outcomes[place] = Outcome(error)
        else:
            for place in fresh:
                request = requests[place]
                forgets = isinstance(request, Forgetting)
                answer, changed = self._apply(request if forgets else next(written))
                outcomes[place] = Outcome(answer)
                changes.update({pair_key(c.query, c.passage): c for c in changed})
        return [o for o in outcomes if o is not None], list(changes.values())

    def _without_writing(self, requests: Sequence[Request]) -> list[Outcome | None]:
        """The outcomes of those that need no record in the log; None for the others."""
        outcomes: list[Outcome | None] = []
        fresh: list[Submission] = []
        new: set[PairKey] = set()
        judgements = 0
        for request in requests:
            outcome = None
            if isinstance(request, Submission):
                try:
                    outcome = self._known(request)
                    if outcome is None:
                        more = new | self._new_pairs(request.pairs)
                        self._check_room(more, judgements + len(request.pairs))
                        new, judgements = more, judgements + len(request.pairs)
                        fresh.append(request)
                except LurcherError as error:
                    outcome = Outcome(error)
            # Or else whoever takes back what is not there makes the log grow for ever.
            elif isinstance(request, Removal) and not (
                self._taken_by(request) or any(_takes(request, one) for one in fresh)
            ):
                outcome = Outcome(0)
            outcomes.append(outcome)
        return outcomes

    def _known(self, request: Submission) -> Outcome | None:
        """The outcome of a request that was answered before, or of which nothing is taken; else None.

        Raises FieldError where the same client used its key for another request.
        """
        number, receipt = self._receipts.get((request.client, request.key), (0, None))
        if receipt is None:
            return None if request.pairs else Outcome(Receipt(0, request.refused, 0))
        if self._submissions[number].request != request.request:
            reason = "was used for another request; a new request needs a key of its own"
            raise FieldError("Idempotency-Key", reason)
        return Outcome(receipt, repeated=True)

    def _new_pairs(self, pairs: Iterable[Pair]) -> set[PairKey]:
        """Those of ``pairs`` that would take more room."""
        return {pair_key(pair.query, pair.passage) for pair in pairs} - self._live.keys()

    def _check_room(self, new: set[PairKey], judgements: int) -> None:
        """Raise FeedbackNotKept where so many new pairs or ``judgements`` are more than there is room for."""
        live = self.counts
        if self.log.bytes >= self.most_bytes:
            raise FeedbackNotKept(
                f"the log has {self.log.bytes:,} bytes of at most {self.most_bytes:,} (the setting"
                " feedback_bytes); put it into a new bundle by `lurcher adapt --from-log` and start the"
                " server with that and a new log"
            )
        if new and live.pairs + len(new) > self.most_pairs:
            what = f"{live.pairs:,} of at most {self.most_pairs:,} pairs"
        elif live.judgements + judgements > self.most_pairs * _JUDGEMENTS_A_PAIR:
            what = (
                f"{live.judgements:,} judgements, which is too many for {self.most_pairs:,} pairs"
            )
        else:
            return
        raise FeedbackNotKept(
            f"live feedback holds {what} (the setting feedback_pairs); put it into a new bundle by"
            " `lurcher adapt --from-log` and start the server with that"
        )

    def _apply(self, record: Request) -> tuple[Answer, list[Change]]:
        match record:
            case Submission():
                return self.add(record)
            case Removal():
                return self._remove(record)
            case Forgetting():
                return self._forget(record.passages)

    def _forget(self, passages: Collection[str]) -> tuple[int, list[Change]]:
        """Take back all of ``passages``: how many live judgements, and the pairs whose weight changed."""
        numbers = {n for id_ in passages for n in self._of_passage.pop(id_, ())}
        had, before = self._judgements, dict[PairKey, _Was]()
        for one in [self._submissions[number] for number in sorted(numbers)]:
            gone = [pair for pair in one.pairs if pair.passage in passages]
            before = self._before(pair_key(p.query, p.passage) for p in gone) | before
            for pair in gone:
                self._sums.take_back(pair.query, pair.passage, one.client, pair.weight)
                self._count(pair_key(pair.query, pair.passage), one, -1)
            kept = tuple(pair for pair in one.pairs if pair.passage not in passages)
            self._submissions[one.sequence] = replace(one, pairs=kept)
        # The bundle has lost its labels of these, too.
        kept_weights = {k: w for k, w in self._folded.weights.items() if k[1] not in passages}
        self._folded = replace(self._folded, weights=kept_weights)
        return had - self._judgements, self._changes(before)

    def forget(self, passages: Collection[str]) -> list[Change]:
        """Take back what was judged of ``passages``: the pairs whose weight changed."""
        return self._forget(passages)[1]

    def follow(self, record: Record) -> list[Change]:
        """Add up what another process has logged: the pairs whose weight changed."""
        if isinstance(record, LimitsChange):  # its server has the limits of this one
            return []
        return self._apply(record)[1]

    def add(self, submission: Submission) -> tuple[Receipt, list[Change]]:
        """Add up what is in the log already: its receipt and the pairs whose weight changed."""
        keys = [pair_key(pair.query, pair.passage) for pair in submission.pairs]
        before = self._before(keys)
        for key, pair in zip(keys, submission.pairs, strict=True):
            self._sums.add(pair.query, pair.passage, submission.client, pair.weight)
            self._count(key, submission, 1)
        self._submissions[submission.sequence] = submission
        for pair in submission.pairs:
            self._of_passage.setdefault(pair.passage, set()).add(submission.sequence)
        held_back = sum(not self._sums.weight(key) for key in keys)
        receipt = Receipt(len(submission.pairs), submission.refused, held_back)
        self._receipts[submission.client, submission.key] = submission.sequence, receipt
        return receipt, self._changes(before)

    def _remove(self, removal: Removal) -> tuple[int, list[Change]]:
        """Take back what ``removal`` says: how many live judgements, and the pairs whose weight changed."""
        taken = self._taken_by(removal)
        had = self._judgements
        before = self._before(pair_key(p.query, p.passage) for one in taken for p in one.pairs)
        for one in taken:
            del self._submissions[one.sequence], self._receipts[one.client, one.key]
            for pair in one.pairs:
                self._sums.take_back(pair.query, pair.passage, one.client, pair.weight)
                self._count(pair_key(pair.query, pair.passage), one, -1)
                self._of_passage.get(pair.passage, set()).discard(one.sequence)
        return had - self._judgements, self._changes(before)

    def _taken_by(self, removal: Removal) -> list[Submission]:
        return [one for one in self._submissions.values() if _takes(removal, one)]

    def changes(self) -> list[Change]:
        """Every pair that a search has to know beside the bundle, with its weight."""
        found = (self._change(key) for key, _ in self._sums.weights())
        return [change for change in found if change.weight]

    def _count(self, key: PairKey, submission: Submission, more: int) -> None:
        """Count a live judgement of the pair, or with ``more`` -1 one less."""
        if submission.sequence <= self._folded.sequence:
            return
        self._judgements += more
        self._live[key] = self._live.get(key, 0) + more
        if not self._live[key]:
            del self._live[key]

    def _change(self, key: PairKey) -> Change:
        """What a search is to know of a pair: its weight beyond that in the bundle."""
        beyond = self._sums.weight(key) - self._folded.weights.get(key, Fraction(0))
        return Change(self._sums.text(key), key[1], float(max(beyond, Fraction(0))))

    def _counts_live(self, key: PairKey) -> bool:
        return key in self._live and self._sums.weight(key) > 0

    def _before(self, keys: Iterable[PairKey]) -> dict[PairKey, _Was]:
        return {key: _Was(self._counts_live(key), self._change(key).weight) for key in keys}

    def _changes(self, before: Mapping[PairKey, _Was]) -> list[Change]:
        """The pairs of ``before`` that do not weigh any more what they did."""
        changes = []
        for key, was in before.items():
            self._counted += self._counts_live(key) - was.counted
            change = self._change(key)
            if change.weight != was.weight:
                changes.append(change)
        return changes


def _takes(removal: Removal, one: Submission) -> bool:
    """Whether ``removal`` takes ``one`` back."""
    by_time = removal.before is not None and one.time < removal.before
    return by_time or one.key in removal.keys
