"""The records of a feedback log, and what a log that holds them amounts to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from lurcher.feedback.aggregation import Aggregation, Limits


class Pair(NamedTuple):
    """A passage judged relevant to a query; ``weight`` is above 0."""

    query: str
    passage: str
    weight: float


@dataclass(frozen=True, slots=True)
class Submission:
    """The judgements of one request, as far as they were taken; the log numbers it.

    ``time`` is in seconds since 1970, UTC. ``request`` is a digest of the request's body and ``refused``
    are the indices of its pairs that were not taken, so that the same request sent again can be
    recognised and answered.
    """

    client: str
    time: float
    key: str
    pairs: tuple[Pair, ...]
    request: str = ""
    refused: tuple[int, ...] = ()
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Removal:
    """Takes back all submissions before it with one of ``keys``, or of a time below ``before``."""

    time: float
    keys: tuple[str, ...] = ()
    before: float | None = None
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class LimitsChange:
    """The limits by which the server that writes the log counts from here on, earlier judgements too."""

    time: float
    limits: Limits
    sequence: int = 0


Record = Submission | Removal | LimitsChange


@dataclass(frozen=True, slots=True)
class Judgement:
    """One judgement with who gave it and when."""

    query: str
    passage: str
    weight: float
    client: str
    time: float


@dataclass(frozen=True, slots=True)
class LogContent:
    """What a log holds: all its records, oldest first."""

    id: str
    records: tuple[Record, ...]

    @property
    def sequence(self) -> int:
        """The last number given; 0 before the first."""
        return self.records[-1].sequence if self.records else 0

    @property
    def submissions(self) -> tuple[Submission, ...]:
        """Those that no removal took back, oldest first."""
        return _surviving(self.records)

    def of_these_texts(
        self, since: Callable[[Sequence[str]], Mapping[str, float | None]]
    ) -> LogContent:
        """It without judgements that were given before the passage's text took the place of another.

        ``since`` gives, of those of some ids that there are, when that was, None: never.
        """
        asked = {p.passage for one in self.submissions for p in one.pairs}
        times = since(list(asked))

        def kept(record: Record) -> Record:
            if not isinstance(record, Submission):
                return record
            pairs = tuple(
                pair for pair in record.pairs if record.time >= (times.get(pair.passage) or 0.0)
            )
            return record if len(pairs) == len(record.pairs) else replace(record, pairs=pairs)

        return replace(self, records=tuple(map(kept, self.records)))

    @property
    def judgements(self) -> list[Judgement]:
        """Each judgement that is left, in the order given."""
        return [
            Judgement(*pair, one.client, one.time) for one in self.submissions for pair in one.pairs
        ]

    @property
    def limits(self) -> Limits:
        """Those noted last; the defaults where none were."""
        noted = (r.limits for r in reversed(self.records) if isinstance(r, LimitsChange))
        return next(noted, Limits())

    def aggregate(self) -> Aggregation:
        """The judgements that are left, added up by the log's limits."""
        sums = Aggregation(self.limits)
        for one in self.judgements:
            sums.add(one.query, one.passage, one.client, one.weight)
        return sums

    def up_to(self, sequence: int) -> LogContent:
        """What the log held when ``sequence`` was the last number given."""
        return replace(self, records=tuple(r for r in self.records if r.sequence <= sequence))


def _surviving(records: Sequence[Record]) -> tuple[Submission, ...]:
    kept: list[Submission] = []
    keys: set[str] = set()
    before = float("-inf")
    for record in reversed(records):
        if isinstance(record, Removal):
            keys.update(record.keys)
            before = max(before, before if record.before is None else record.before)
        elif isinstance(record, Submission) and record.key not in keys and record.time >= before:
            kept.append(record)
    return tuple(reversed(kept))
