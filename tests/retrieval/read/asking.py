"""How these tests ask: of a bundle whose reader points where the test wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from lurcher.bundle.bundle import Bundle
from lurcher.retrieval.query import Query, ReadOptions
from lurcher.retrieval.results import Answer, SearchResult
from lurcher.retrieval.snapshot import Snapshot
from tests.server.odd import ODD
from tests.server.pointing import Pointing, pointed

PAST = 0.0  # on the clock of perf_counter
EVERYTHING = len(ODD)
ANY = 1e-6  # spans that are not pointed at are less likely than that
READ_ALL = ReadOptions(EVERYTHING, ANY)
QUESTION = Query("who built it", EVERYTHING, read=READ_ALL)
# With the first three tokens no passage says what another one says, and these say nothing.
THREE, SHORT = (0, 2), {"empty", "blank", "one"}


class Switch(Pointing):
    """Lets another graph run, so that a snapshot need not be opened for each."""

    engine: Pointing

    def run(
        self, outputs: Sequence[str], inputs: Mapping[str, npt.NDArray[Any]]
    ) -> list[npt.NDArray[Any]]:
        return self.engine.run(outputs, inputs)


class Ask:
    """Asks questions of a bundle whose reader is a graph of the test's own, described with ``changes``."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._opened: dict[tuple[tuple[str, Any], ...], tuple[Switch, Snapshot]] = {}

    def snapshot(self, engine: Pointing, **changes: Any) -> Snapshot:
        key = tuple(sorted(changes.items()))
        if key not in self._opened:
            switch = Switch()
            self._opened[key] = switch, Snapshot(pointed(self._bundle, switch, **changes), 1)
        switch, snapshot = self._opened[key]
        switch.engine = engine
        return snapshot

    def __call__(
        self, engine: Pointing, question: Query = QUESTION, **changes: Any
    ) -> SearchResult:
        (result,) = self.snapshot(engine, **changes).run([question])
        assert isinstance(result, SearchResult), result
        return result


def by_passage(result: SearchResult) -> dict[str, Answer]:
    return {one.passage.id: one for one in result.answers}


def whole(one: Answer) -> str:
    return one.passage.heading if one.part == "title" else one.passage.text
