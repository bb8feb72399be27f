"""Searches over several collections at once: one piece of work of the queue that all share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lurcher.errors import LurcherError
from lurcher.retrieval import several
from lurcher.retrieval.outcomes import outcome_of_each
from lurcher.retrieval.query import Query
from lurcher.retrieval.several import SeveralResult
from lurcher.retrieval.snapshot import Snapshot
from lurcher.server.admission import Caller
from lurcher.server.admission.admission import Admission
from lurcher.server.admission.ladder import lowered
from lurcher.server.limits import time_limit
from lurcher.server.metrics import SEVERAL, Metrics
from lurcher.server.serving import Serving
from lurcher.server.settings import Settings

_Work = tuple[Query, Mapping[str, Snapshot]]


class Several:
    """Answers one query from several snapshots; make it where an event loop runs."""

    def __init__(self, settings: Settings, admission: Admission, metrics: Metrics) -> None:
        self._settings, self._batcher, self._metrics = settings, admission.batcher, metrics
        self._batcher.add([self._search])

    async def search(
        self, query: Query, servings: Mapping[str, Serving], timeout_ms: int | None, caller: Caller,
        *, degrade: bool,
    ) -> tuple[SeveralResult, float]:  # fmt: skip
        """Return the best hits of all leased ``servings``, and the seconds that the query waited.

        With ``degrade`` it is ranked in a cheaper way where the queue is long, in all of them or in none.
        Raises FieldError, NotReady, QueueFull or DeadlinePassed.
        """
        snapshots = {name: one.snapshot for name, one in servings.items()}
        query = several.common(query, snapshots)
        price = several.price(query, snapshots)
        if degrade:
            query, price = lowered(
                query, price, self._batcher.pressure(caller.client, price),
                lambda cheaper: several.price(cheaper, snapshots),
            )  # fmt: skip
        seconds = time_limit(timeout_ms, self._settings)
        (found,) = await self._batcher.submit(
            self._search, [(query, snapshots)], [price], seconds, caller
        )
        if isinstance(found, LurcherError):
            raise found
        return found

    def _search(self, works: Sequence[_Work]) -> Sequence[SeveralResult | LurcherError]:
        """The result of each of ``works``, or its error."""
        results = outcome_of_each(lambda work: several.run(*work), works)
        for result in results:
            if isinstance(result, SeveralResult):
                for stage, spent in result.whole.seconds.items():
                    self._metrics.stage_seconds.labels(SEVERAL, stage).observe(spent)
        return results
