"""One shard of a collection: it answers what a coordinator asks of its passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.filter_fields import FilterFields
from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import BEYOND, Vectors
from lurcher.cluster.cluster_file import ClusterFile, check_bundle, read_rows, read_words
from lurcher.cluster.messages import (
    Asked,
    Compare,
    Compared,
    Done,
    Fetch,
    Fetched,
    Found,
    HasRead,
    Read,
    ReadTokens,
    Reply,
    Request,
    Retrieve,
    Work,
)
from lurcher.errors import FieldError, LurcherError
from lurcher.models.engines import EngineName
from lurcher.order import inner_products
from lurcher.retrieval.capabilities import NO_READER, NO_TOKENS
from lurcher.retrieval.outcomes import outcome_of_each
from lurcher.retrieval.query import Candidates, QueryState, RetrieverName
from lurcher.retrieval.retrievers.lexical import query_terms
from lurcher.retrieval.snapshot import Snapshot

_RETRIEVE = frozenset({"retrieve_dense", "retrieve_lexical"})
_FETCH = frozenset({"fetch", "explain"})


def as_part(bundle: Bundle, cluster: ClusterFile) -> Bundle:
    """``bundle``, which knows words and fields of metadata that only other bundles of ``cluster`` have."""
    (segment,) = bundle.segments
    segment.passages.filter_fields = FilterFields(cluster.fields)
    if bundle.lexical is None:
        return bundle
    held = read_words(bundle.path.parent, cluster, bundle.lexical.settings)
    return replace(bundle, lexical=replace(bundle.lexical, is_part=True, held=held))


class Shard:
    """Answers for the passages of one shard; call it from one thread at a time."""

    def __init__(
        self, folder: Path, cluster: ClusterFile, number: int, threads: int = 1,
        engine: EngineName = "auto", check_hashes: bool = True,
    ) -> None:  # fmt: skip
        """Open shard ``number`` of ``cluster`` in ``folder``. Raises BundleError, ModelError."""
        entry = cluster.shards[number]
        self._rows = read_rows(folder, entry)
        check_bundle(folder, cluster, entry)
        bundle = as_part(Bundle.open(folder / entry.path, check_hashes), cluster)
        try:
            self._snapshot = Snapshot(bundle, threads, engine)
        except BaseException:
            bundle.close()
            raise
        self.fingerprint = cluster.fingerprint

    def answer(self, request: Request) -> Reply:
        """What became of the works of ``request``; none is done for another version of the collection."""
        if request.fingerprint != self.fingerprint:
            return Reply(self.fingerprint, ())
        return Reply(self.fingerprint, tuple(self._done(request.works)))

    def close(self) -> None:
        """Close the bundle."""
        self._snapshot.close()

    def _done(self, works: Sequence[Work]) -> list[Done | LurcherError]:
        searches = [work for work in works if not isinstance(work, Read)]
        if not searches:  # what is read needs nothing of the query but what the work has
            reads = [work for work in works if isinstance(work, Read)]
            return [*outcome_of_each(self._has_read, reads)]
        begun = self._begun([work.asked for work in searches])
        done: dict[int, Done | LurcherError] = {}
        states: dict[int, QueryState] = {}
        for place, (work, state) in enumerate(zip(searches, begun, strict=True)):
            if isinstance(state, LurcherError):
                done[place] = state
            elif isinstance(work, Compare):
                (done[place],) = outcome_of_each(partial(self._compared, state), [work])
            else:
                states[place] = _prepared(state, work, self._rows)
        retrieving = any(isinstance(work, Retrieve) for work in searches)
        stages = _RETRIEVE if retrieving else _FETCH
        moved = self._snapshot.advance(list(states.values()), {}, stages)
        for place, state in zip(states, moved, strict=True):
            if isinstance(state, LurcherError):
                done[place] = state
            elif retrieving:
                done[place] = self._found(state)
            else:
                done[place] = Fetched(state.passages, state.explanations)
        return [done[place] for place in range(len(searches))]

    def _begun(self, asked: Sequence[Asked]) -> list[QueryState | LurcherError]:
        return self._snapshot.begin([one.query for one in asked], [one.text for one in asked])

    def _found(self, state: QueryState) -> Found:
        """What was found, with the scores of all of it, before any is taken as another's equal."""
        lists = {name: found.rows for name, found in state.retrieved.items()}
        rows = np.unique(np.concatenate([*lists.values(), np.zeros(0, np.int64)]))
        scores: dict[str, Vectors] = {}
        plan, bundle = state.plan, self._snapshot.bundle
        if plan.ranker is not None or "dense" in plan.retrievers:
            scores["dense"] = inner_products(bundle.vectors.vectors(rows), state.features.vector)
        if "lexical" in plan.retrievers and bundle.lexical is not None:
            scores["lexical"] = bundle.lexical.scores(query_terms(state.features), rows)
        found: dict[RetrieverName, Rows] = {name: self._rows[own] for name, own in lists.items()}
        grouped = state.query.group_by is not None
        documents = bundle.passages.documents(rows) if grouped else ()
        return Found(found, self._rows[rows], scores, documents)

    def _compared(self, state: QueryState, work: Compare) -> Compared:
        ranker = None if state.plan.ranker is None else self._snapshot.rankers[state.plan.ranker]
        if ranker is None:
            raise FieldError("rank", NO_TOKENS)
        candidates = Candidates(self._own(work.rows), {"dense": work.dense})
        return Compared(ranker.scores(replace(state, candidates=candidates)))

    def _has_read(self, work: Read) -> HasRead:
        reader = self._snapshot.reader
        if reader is None:
            raise FieldError("read", NO_READER)
        read = reader.read(work.query, self._own(work.rows))
        rows = self._rows[list(read)].tolist()
        return HasRead(
            tuple(
                ReadTokens(row, one.positions, one.logits)
                for row, one in zip(rows, read.values(), strict=True)
            )
        )

    def _own(self, rows: Rows) -> Rows:
        return np.searchsorted(self._rows, rows)


def _prepared(state: QueryState, work: Retrieve | Fetch, rows: Rows) -> QueryState:
    """The ``state`` before the stages that ``work`` asks for; ``rows`` (n,) are the shard's."""
    if isinstance(work, Retrieve):
        # A little beyond: what counts as equal is known only where all shards' finds are side by side.
        deeper = replace(work.plan, retrieval_depth=work.plan.retrieval_depth + BEYOND)
        return replace(state, plan=deeper)
    return replace(state, candidates=Candidates(np.searchsorted(rows, work.rows), work.scores))
