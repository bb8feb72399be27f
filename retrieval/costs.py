"""How long work takes: one model of seconds per unit, corrected by what each piece of work took.

Stages correct the units that they measure. Those that nobody measures by themselves (``query``, ``token``,
``hit``, ``alignment``) weigh pieces of work against each other; what they are worth in seconds on this
machine, the queue finds out (``lurcher.server.admission.batching``).
"""

from __future__ import annotations

from collections.abc import Mapping

# Seconds per unit before anything was measured, by kind of work.
_INITIAL = {
    "lexical": 1e-8,  # a posting of a term of the query
    "maxsim": 5e-7,  # a candidate and a token of the query
    "decoder": 5e-6,
    "t5": 5e-4,
    "reader": 5e-5,
    "read": 5e-5,  # a token of a passage, or of the query beside it
    "question": 0.05,  # a question, from its turn to its answer
    "feedback": 0.01,  # a judged pair, until it is on disk and searches know it
    "query": 1e-3,  # a search, without what follows
    "token": 1e-4,  # a token that is encoded
    "hit": 3e-4,  # a hit whose sentences are compared with the query
    "alignment": 2.5e-3,  # a hit whose tokens are compared with the query's
}
_RATE = 0.1  # how far one measurement moves the estimate


class CostModel:
    """Seconds per unit of each kind of work: moving averages of what was measured."""

    def __init__(self, initial: Mapping[str, float] | None = None) -> None:
        """Begin with ``initial`` seconds per unit of some kinds, and with the defaults for the others."""
        self._seconds = {**_INITIAL, **(initial or {})}

    def estimate(self, kind: str, units: float) -> float:
        """The seconds that ``units`` of this kind of work will take."""
        return self._seconds[kind] * units

    def observe(self, kind: str, units: float, seconds: float) -> None:
        """Correct the estimate by work that took ``seconds``; ``units`` is above 0."""
        self._seconds[kind] += _RATE * (seconds / units - self._seconds[kind])

    def relax(self, kind: str) -> None:
        """Lower the estimate a little, as nothing is measured while work is left out."""
        self._seconds[kind] *= 1 - _RATE
