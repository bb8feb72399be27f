"""Live judgements: what of the log counts in searches beside the bundle, and what was answered to whom.

All of the log is added up (bundle.tally), also what the bundle has of it: a pair that was held back when
the bundle was made counts once more clients agree, and nobody goes beyond the cap by a new bundle. A
search is told of a pair what it weighs beyond its weight in the bundle.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from lurcher.feedback.live import Change
from lurcher.feedback.log import Given, Pair, Removal
from lurcher.feedback.tally import Limits, PairKey, Tally, pair_key
from lurcher.models.errors import FeedbackNotKept, FieldError

# Judgements that are kept to be taken back, on the average of all pairs; beyond it memory would grow
# without limit by the same few pairs.
_JUDGEMENTS_A_PAIR = 10


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a request: pairs taken, indices of those refused, and how many do not count yet."""

    accepted: int
    refused: tuple[int, ...]
    held_back: int


@dataclass(frozen=True, slots=True)
class Folded:
    """What the bundle has of the log: records up to the number ``until``, which gave ``weights``."""

    until: int
    weights: Mapping[PairKey, Fraction]


@dataclass(frozen=True, slots=True)
class _Was:
    """What a pair was before a change: whether it counted as live, and its weight for searches."""

    counted: bool
    weight: float


class Feedback:
    """All judgements of a log that are left; for one thread at a time.

    ``pairs``, ``counted`` and ``judgements`` are of those that the bundle has not.
    """

    def __init__(
        self, limits: Limits, most_pairs: int = 50_000, folded: Folded | None = None
    ) -> None:
        """Count by ``limits``; take in at most ``most_pairs`` beside those that the bundle has."""
        self.most_pairs = most_pairs
        self.counted = 0  # pairs that enough clients gave
        self.judgements = 0
        self._folded = Folded(0, {}) if folded is None else folded
        self._tally = Tally(limits)
        self._live: dict[PairKey, int] = {}  # judgements that the bundle has not
        self._rows: dict[str, int] = {}  # of passages that were judged
        # By number, to be taken back: as given, without passages that do not count.
        self._given: dict[int, Given] = {}
        self._receipts: dict[tuple[str, str], tuple[int, Receipt]] = {}  # by client and key

    @property
    def pairs(self) -> int:
        """How many different pairs were given."""
        return len(self._live)

    def receipt(self, given: Given) -> Receipt | None:
        """What became of ``given`` when the same came before; None where it did not.

        Raises FieldError where the same client used its key for another request.
        """
        number, receipt = self._receipts.get((given.client, given.key), (0, None))
        if receipt is not None and self._given[number].request != given.request:
            reason = "was used for another request; a new request needs a key of its own"
            raise FieldError("Idempotency-Key", reason)
        return receipt

    def new_pairs(self, pairs: Iterable[Pair]) -> set[PairKey]:
        """Those of ``pairs`` that would take more room."""
        keys = {pair_key(pair.query, pair.passage) for pair in pairs}
        return keys - self._live.keys()

    def check_room(self, new: Collection[PairKey], judgements: int) -> None:
        """Raise FeedbackNotKept where so many new pairs or ``judgements`` are more than there is room for."""
        if new and self.pairs + len(new) > self.most_pairs:
            what = f"{self.pairs:,} of at most {self.most_pairs:,} pairs"
        elif self.judgements + judgements > self.most_pairs * _JUDGEMENTS_A_PAIR:
            what = (
                f"{self.judgements:,} judgements, which is too many for {self.most_pairs:,} pairs"
            )
        else:
            return
        raise FeedbackNotKept(
            f"live feedback holds {what} (the setting feedback_pairs); put it into a new bundle by"
            " `lurcher adapt --from-log` and start the server with that"
        )

    def give(self, given: Given, rows: Mapping[str, int]) -> tuple[Receipt, list[Change]]:
        """Take in ``given``: its receipt and the pairs whose weight changed.

        ``rows`` has the rows of its passages; a judgement of any other passage does not count.
        """
        pairs = tuple(pair for pair in given.pairs if pair.passage in rows)
        keys = [pair_key(pair.query, pair.passage) for pair in pairs]
        before = self._before(keys)
        for key, pair in zip(keys, pairs, strict=True):
            self._rows[pair.passage] = rows[pair.passage]
            self._tally.add(pair.query, pair.passage, given.client, pair.weight)
            self._count(key, given, 1)
        self._given[given.sequence] = replace(given, pairs=pairs)
        held_back = sum(not self._tally.weight(key) for key in keys)
        receipt = Receipt(len(given.pairs), given.refused, held_back)
        self._receipts[given.client, given.key] = given.sequence, receipt
        return receipt, self._changes(before)

    def remove(self, removal: Removal) -> tuple[int, list[Change]]:
        """Take back what ``removal`` says: how many live judgements, and the pairs whose weight changed."""
        keys = set(removal.keys)
        taken = [
            given
            for given in self._given.values()
            if given.key in keys or (removal.before is not None and given.time < removal.before)
        ]
        had = self.judgements
        before = self._before(pair_key(p.query, p.passage) for given in taken for p in given.pairs)
        for given in taken:
            del self._given[given.sequence]
            # A key may have come twice, with an older bundle that lacks what a newer one had.
            number, _ = self._receipts.get((given.client, given.key), (0, None))
            if number == given.sequence:
                del self._receipts[given.client, given.key]
            for pair in given.pairs:
                self._tally.take_back(pair.query, pair.passage, given.client, pair.weight)
                self._count(pair_key(pair.query, pair.passage), given, -1)
        return had - self.judgements, self._changes(before)

    def changes(self) -> list[Change]:
        """Every pair that a search has to know beside the bundle, with its weight."""
        found = (self._change(key) for key, _ in self._tally.weights())
        return [change for change in found if change.weight]

    def _count(self, key: PairKey, given: Given, more: int) -> None:
        """Count a live judgement of the pair, or with ``more`` -1 one less."""
        if given.sequence <= self._folded.until:
            return
        self.judgements += more
        self._live[key] = self._live.get(key, 0) + more
        if not self._live[key]:
            del self._live[key]

    def _change(self, key: PairKey) -> Change:
        """What a search is to know of a pair: its weight beyond that in the bundle."""
        beyond = self._tally.weight(key) - self._folded.weights.get(key, Fraction(0))
        return Change(self._tally.text(key), self._rows[key[1]], float(max(beyond, Fraction(0))))

    def _counted(self, key: PairKey) -> bool:
        return key in self._live and self._tally.weight(key) > 0

    def _before(self, keys: Iterable[PairKey]) -> dict[PairKey, _Was]:
        return {
            key: _Was(self._counted(key), self._change(key).weight if key[1] in self._rows else 0.0)
            for key in keys
        }

    def _changes(self, before: Mapping[PairKey, _Was]) -> list[Change]:
        """The pairs of ``before`` that do not weigh any more what they did."""
        changes = []
        for key, was in before.items():
            self.counted += self._counted(key) - was.counted
            change = self._change(key)
            if change.weight != was.weight:
                changes.append(change)
        return changes
