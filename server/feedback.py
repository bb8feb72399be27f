"""Judgements added up: which known query has how much weight for which passage.

Queries are the same if their normalised texts are. A client's weights for a pair of query and passage
add up to at most ``client_weight``, and a pair counts once enough different clients gave it. Sums are
exact fractions, so what is taken back leaves no trace: the weights depend on the judgements that are
left, not on the way there, and a replay of the log gives the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from bundle.feedback import Given, Pair, Removal
from models.errors import FeedbackNotKept, FieldError
from models.text import normalised
from server.live import Change

PairKey = tuple[str, str]  # the query's normalised text, the passage's id

# Judgements that are kept to be taken back, on the average of all pairs; beyond it memory would grow
# without limit by the same few pairs.
_JUDGEMENTS_A_PAIR = 10


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a request: pairs taken, indices of those refused, and how many do not count yet."""

    accepted: int
    refused: tuple[int, ...]
    held_back: int


@dataclass(slots=True)
class _Sum:
    """What one pair has: by client all it gave, and the total of what counts of that."""

    row: int
    clients: dict[str, Fraction] = field(default_factory=dict)
    total: Fraction = Fraction(0)


@dataclass(slots=True)
class _Query:
    text: str  # as it was first given
    sums: dict[str, _Sum] = field(default_factory=dict)  # by passage id


class Feedback:
    """All live judgements; for one thread at a time."""

    def __init__(self, clients: int = 1, client_weight: float = 10.0, most_pairs: int = 50_000):
        """Count pairs that ``clients`` gave; take in at most ``most_pairs``."""
        self._needed = clients
        self._most_of_client = Fraction(client_weight)
        self.most_pairs = most_pairs
        self.pairs = 0
        self.counted = 0  # pairs that enough clients gave
        self.judgements = 0
        self._queries: dict[str, _Query] = {}
        # By number, to be taken back: as given, without passages that do not count.
        self._given: dict[int, Given] = {}
        self._receipts: dict[tuple[str, str], tuple[int, Receipt]] = {}  # by client and key

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
        """Those of ``pairs`` that nobody gave so far."""
        return {
            (key, pair.passage)
            for pair in pairs
            for key in [normalised(pair.query)]
            if key not in self._queries or pair.passage not in self._queries[key].sums
        }

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
        keys = [(normalised(pair.query), pair.passage) for pair in pairs]
        before: dict[PairKey, float] = {}
        for (query, passage), pair in zip(keys, pairs, strict=True):
            known = self._queries.setdefault(query, _Query(" ".join(pair.query.split())))
            if passage not in known.sums:
                known.sums[passage] = _Sum(rows[passage])
                self.pairs += 1
            before.setdefault((query, passage), self._weight(known.sums[passage]))
            self._add(known.sums[passage], given.client, Fraction(pair.weight))
        self.judgements += len(pairs)
        self._given[given.sequence] = replace(given, pairs=pairs)
        held_back = sum(not self._weight(self._queries[q].sums[passage]) for q, passage in keys)
        receipt = Receipt(len(given.pairs), given.refused, held_back)
        self._receipts[given.client, given.key] = given.sequence, receipt
        return receipt, self._changes(before)

    def remove(self, removal: Removal) -> tuple[int, list[Change]]:
        """Take back what ``removal`` says: how many judgements, and the pairs whose weight changed."""
        keys = set(removal.keys)
        before: dict[PairKey, float] = {}
        taken = [
            given
            for given in self._given.values()
            if given.key in keys or (removal.before is not None and given.time < removal.before)
        ]
        for given in taken:
            del self._given[given.sequence]
            # A key may have come twice, with an older bundle that lacks what a newer one had.
            number, _ = self._receipts.get((given.client, given.key), (0, None))
            if number == given.sequence:
                del self._receipts[given.client, given.key]
            for pair in given.pairs:
                query = normalised(pair.query)
                found = self._queries[query].sums[pair.passage]
                before.setdefault((query, pair.passage), self._weight(found))
                self._add(found, given.client, -Fraction(pair.weight))
        removed = sum(len(given.pairs) for given in taken)
        self.judgements -= removed
        changes = self._changes(before)
        for query, passage in before:
            self._drop_if_empty(query, passage)
        return removed, changes

    def changes(self) -> list[Change]:
        """Every pair that counts, with its weight."""
        return [
            Change(query.text, found.row, weight)
            for query in self._queries.values()
            for found in query.sums.values()
            if (weight := self._weight(found))
        ]

    def _weight(self, found: _Sum) -> float:
        """What the pair weighs in a search: 0 until enough clients gave it."""
        return float(found.total) if len(found.clients) >= self._needed else 0.0

    def _add(self, found: _Sum, client: str, weight: Fraction) -> None:
        had = found.clients.get(client, Fraction(0))
        has = had + weight
        found.total += min(has, self._most_of_client) - min(had, self._most_of_client)
        if has:
            found.clients[client] = has
        else:
            del found.clients[client]

    def _changes(self, before: Mapping[PairKey, float]) -> list[Change]:
        """The pairs of ``before`` that do not weigh any more what they did."""
        changes = []
        for (query, passage), was in before.items():
            known = self._queries[query]
            weight = self._weight(known.sums[passage])
            self.counted += (weight > 0) - (was > 0)
            if weight != was:
                changes.append(Change(known.text, known.sums[passage].row, weight))
        return changes

    def _drop_if_empty(self, query: str, passage: str) -> None:
        sums = self._queries[query].sums
        if not sums[passage].clients:
            del sums[passage]
            self.pairs -= 1
        if not sums:
            del self._queries[query]
