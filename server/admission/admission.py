"""What admits work: one queue and one thread for all that a server serves, as it has one machine."""

from __future__ import annotations

from lurcher.retrieval.costs import CostModel
from lurcher.server.admission.batching import Batcher, Bounds
from lurcher.server.admission.concurrency_limiter import ConcurrencyLimiter

# Questions in the queue: one is read while the next waits. A search waits for no more than these.
_QUESTIONS = 2


class Admission:
    """The batcher, and the permits of questions; make it where an event loop runs."""

    def __init__(self, max_waiting: int, max_wait_ms: int, batch_size: int) -> None:
        """As the settings of these names say."""
        bounds = Bounds(max_waiting, max_wait_ms / 1_000, together=batch_size)
        self.batcher = Batcher([], bounds)
        self.questions = ConcurrencyLimiter("question", _QUESTIONS, bounds, CostModel())

    @property
    def waiting(self) -> int:
        """The number of queries that wait."""
        return self.batcher.waiting + self.questions.waiting

    async def stop(self) -> None:
        """Finish the current batch and take no more; what still waits gets NotReady."""
        await self.batcher.stop()
