"""Queries over several collections at once: pieces of work of the queue that all share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from time import perf_counter

from lurcher.errors import FieldError, LurcherError
from lurcher.retrieval import several
from lurcher.retrieval.query import Query
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from lurcher.server.admission import Caller
from lurcher.server.admission.admission import Admission
from lurcher.server.admission.batching import within
from lurcher.server.admission.ladder import lowered
from lurcher.server.limits import time_limit
from lurcher.server.metrics import SEVERAL, Metrics
from lurcher.server.settings import Settings

_Snapshots = Mapping[str, Snapshot]


class Several:
    """Answers queries from several snapshots; make it where an event loop runs."""

    def __init__(self, settings: Settings, admission: Admission, metrics: Metrics) -> None:
        self._settings, self._admission, self._metrics = settings, admission, metrics
        self._batcher = admission.batcher
        self._batcher.add([self._search])

    async def search(
        self, queries: Sequence[Query], snapshots: _Snapshots, timeout_ms: int | None,
        caller: Caller, *, degrade: bool,
    ) -> list[tuple[SearchResult, float] | LurcherError]:  # fmt: skip
        """Return each query's result from all leased ``snapshots`` and the seconds it waited, or its error.

        With ``degrade`` a single query is ranked in a cheaper way where the queue is long, in all of them or
        in none. Raises NotReady, QueueFull or DeadlinePassed.
        """
        outcomes: dict[int, tuple[SearchResult, float] | LurcherError] = {}
        priced: dict[int, tuple[Query, float]] = {}
        for place, query in enumerate(queries):
            try:
                priced[place] = self._priced(query, snapshots)
            except FieldError as error:
                outcomes[place] = error
        if degrade and len(queries) == 1 and priced:
            query, price = priced[0]
            pressure = self._batcher.pressure(caller.client, price)
            priced[0] = lowered(query, price, pressure, lambda one: several.price(one, snapshots))
        if priced:
            works = [(query, snapshots) for query, _ in priced.values()]
            prices = [price for _, price in priced.values()]
            seconds = time_limit(timeout_ms, self._settings)
            done = await self._batcher.submit(self._search, works, prices, seconds, caller)
            outcomes |= zip(priced, done, strict=True)
        return [outcomes[place] for place in range(len(queries))]

    async def answer(
        self, question: Query, snapshots: _Snapshots, timeout_ms: int | None, caller: Caller
    ) -> tuple[SearchResult, float]:
        """Return the answers of all leased ``snapshots`` to ``question``, and the seconds that it waited.

        Raises FieldError, NotReady, QueueFull, DeadlinePassed, or what a snapshot raised.
        """
        question, price = self._priced(question, snapshots)
        start = perf_counter()
        seconds = time_limit(timeout_ms, self._settings)
        async with within(seconds), self._admission.questions.permit(caller):
            permitted = perf_counter()
            (found,) = await self._batcher.submit(
                self._search, [(question, snapshots)], [price], None, caller, exempt=True
            )
        if isinstance(found, LurcherError):
            raise found
        result, waited = found
        return result, permitted - start + waited

    def _priced(self, query: Query, snapshots: _Snapshots) -> tuple[Query, float]:
        """``query`` as all ``snapshots`` can answer it, and its price. Raises FieldError."""
        query = replace(several.common(query, snapshots), turn=self._batcher.baton)
        return query, several.price(query, snapshots)

    def _search(
        self, works: Sequence[tuple[Query, _Snapshots]]
    ) -> Sequence[SearchResult | LurcherError]:
        """The result of each of ``works``, or its error; those of one request are run together."""
        results: list[SearchResult | LurcherError] = []
        for _, some in groupby(works, key=lambda work: id(work[1])):
            queries, (snapshots, *_) = zip(*some, strict=True)
            outcomes = several.run(queries, snapshots)
            found = [one for one in outcomes if isinstance(one, SearchResult)]
            for stage, spent in found[0].seconds.items() if found else ():
                self._metrics.stage_seconds.labels(SEVERAL, stage).observe(spent)
            results += outcomes
        return results
