"""Judgements added up: how much weight a query has for a passage, by what many clients gave.

Queries are the same if their normalised texts are. A client's weights for a pair of query and passage
add up to at most ``client_weight``, and a pair counts once enough different clients gave it. Sums are
exact fractions, so what is taken back leaves no trace: the weights depend on the judgements that are
left, not on the way there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from lurcher.text import normalised

PairKey = tuple[str, str]  # the query's normalised text, the passage's id


@dataclass(frozen=True, slots=True)
class Limits:
    """How many clients must give a pair before it counts, and the most weight of one for a pair."""

    clients: int = 1
    client_weight: float = 10.0


@dataclass(slots=True)
class _Sum:
    """What one pair has: by client all it gave, and the total of what counts of that."""

    clients: dict[str, Fraction] = field(default_factory=dict)
    total: Fraction = Fraction(0)


@dataclass(slots=True)
class _Query:
    text: str  # as it was first given, without needless white space
    sums: dict[str, _Sum] = field(default_factory=dict)  # by passage id


def pair_key(query: str, passage: str) -> PairKey:
    """What tells the pair of ``query`` and ``passage`` from others."""
    return normalised(query), passage


class Aggregation:
    """The judgements that are left, added up under ``limits``; for one thread at a time."""

    def __init__(self, limits: Limits) -> None:
        self._needed = limits.clients
        self._most_of_client = Fraction(limits.client_weight)
        self._queries: dict[str, _Query] = {}

    def add(self, query: str, passage: str, client: str, weight: float) -> None:
        """Count that ``client`` gave the pair ``weight``, which is above 0."""
        key, _ = pair_key(query, passage)
        known = self._queries.setdefault(key, _Query(" ".join(query.split())))
        self._change(known.sums.setdefault(passage, _Sum()), client, Fraction(weight))

    def take_back(self, query: str, passage: str, client: str, weight: float) -> None:
        """Undo an ``add`` of the same; a pair that nobody gives any more is forgotten."""
        key, _ = pair_key(query, passage)
        sums = self._queries[key].sums
        self._change(sums[passage], client, -Fraction(weight))
        if not sums[passage].clients:
            del sums[passage]
        if not sums:
            del self._queries[key]

    def _change(self, found: _Sum, client: str, weight: Fraction) -> None:
        had = found.clients.get(client, Fraction(0))
        has = had + weight
        found.total += min(has, self._most_of_client) - min(had, self._most_of_client)
        if has:
            found.clients[client] = has
        else:
            del found.clients[client]

    def weight(self, key: PairKey) -> Fraction:
        """What a pair weighs: 0 until enough clients gave it."""
        query, passage = key
        found = self._queries[query].sums.get(passage) if query in self._queries else None
        return Fraction(0) if found is None else self._weight(found)

    def _weight(self, found: _Sum) -> Fraction:
        return found.total if len(found.clients) >= self._needed else Fraction(0)

    def text(self, key: PairKey) -> str:
        """The query of a pair, as it was first given; its normalised text where nobody gives it any more."""
        query = self._queries.get(key[0])
        return key[0] if query is None else query.text

    def weights(self) -> Iterator[tuple[PairKey, Fraction]]:
        """Every pair that counts, with its weight, in the order first given."""
        for key, query in self._queries.items():
            for passage, found in query.sums.items():
                if weight := self._weight(found):
                    yield (key, passage), weight
