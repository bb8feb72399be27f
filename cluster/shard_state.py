"""A state of a shard, which answers what a coordinator asks of its passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial

import numpy as np

from lurcher.bundle.facets import facet
from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import BEYOND, Vectors
from lurcher.cluster.copies import Alike, firsts_in
from lurcher.cluster.known import labelled_rows, scores_by_means
from lurcher.cluster.messages import (
    NO_ROW,
    Asked,
    Compare,
    Compared,
    Counted,
    CountValues,
    Done,
    Fetch,
    Fetched,
    Fold,
    Folded,
    Found,
    GetDocument,
    GetPassage,
    HasRead,
    Listed,
    ListPassages,
    Read,
    ReadTokens,
    Retrieve,
    Work,
)
from lurcher.cluster.row_numbers import RowNumbers
from lurcher.errors import FieldError, LurcherError
from lurcher.order import inner_products
from lurcher.retrieval.capabilities import NO_READER, NO_TOKENS
from lurcher.retrieval.contents import BundleContents
from lurcher.retrieval.outcomes import outcome_of_each
from lurcher.retrieval.query import Candidates, QueryState, RetrieverName
from lurcher.retrieval.retrievers.lexical import query_terms
from lurcher.retrieval.snapshot import Snapshot

_RETRIEVE = frozenset({"retrieve_dense", "retrieve_lexical"})
_FETCH = frozenset({"fetch", "explain"})


class ShardState:
    """Answers for the passages of one snapshot of a shard; call it from one thread at a time."""

    def __init__(self, snapshot: Snapshot, numbers: RowNumbers) -> None:
        """``numbers`` are those of the shard's rows."""
        self.snapshot, self._bundle, self._numbers = snapshot, snapshot.bundle, numbers

    def done(self, works: Sequence[Work]) -> list[Done | LurcherError]:
        """What became of each of ``works``, which are of one kind, or the error of its query."""
        searches = [one for one in works if isinstance(one, Retrieve | Fold | Compare | Fetch)]
        if searches:
            return self._searched(searches)
        return outcome_of_each(self._done, works)

    def _done(self, work: Work) -> Done:
        """What became of ``work``, which is of no stage of a search."""
        match work:
            case Read():
                return self._has_read(work)
            case GetPassage() | GetDocument() | ListPassages():
                return self._listed(work)
            case CountValues():
                return self._counted(work)
        raise TypeError(f"{type(work).__name__} is done with others of its kind")

    def _searched(
        self, searches: Sequence[Retrieve | Fold | Compare | Fetch]
    ) -> list[Done | LurcherError]:
        begun = self._begun([work.asked for work in searches])
        done: dict[int, Done | LurcherError] = {}
        states: dict[int, QueryState] = {}
        for place, (work, state) in enumerate(zip(searches, begun, strict=True)):
            if isinstance(state, LurcherError):
                done[place] = state
            elif isinstance(work, Fold):
                done[place] = self._folded(state, work)
            elif isinstance(work, Compare):
                (done[place],) = outcome_of_each(partial(self._compared, state), [work])
            else:
                states[place] = self._prepared(state, work)
        stages = _RETRIEVE if isinstance(searches[0], Retrieve) else _FETCH
        moved = self.snapshot.advance(list(states.values()), {}, stages)
        for place, state in zip(states, moved, strict=True):
            work = searches[place]
            if isinstance(state, LurcherError):
                done[place] = state
            elif isinstance(work, Retrieve):
                done[place] = self._found(state, work)
            else:
                done[place] = self._fetched(state)
        return [done[place] for place in range(len(searches))]

    def _begun(self, asked: Sequence[Asked]) -> list[QueryState | LurcherError]:
        return self.snapshot.begin([one.query for one in asked], [one.text for one in asked])

    def _found(self, state: QueryState, work: Retrieve) -> Found:
        """What was found, with the scores of all of it, before any is taken as another's equal."""
        lists = {name: found.rows for name, found in state.retrieved.items()}
        voted = labelled_rows(self._bundle, work.voted, state.allow)
        lists["voting"] = voted[voted >= 0]
        rows = np.unique(np.concatenate([*lists.values(), np.zeros(0, np.int64)]))
        scores: dict[str, Vectors] = {}
        held = None
        plan, bundle = state.plan, self._bundle
        if plan.ranker is not None or "dense" in plan.retrievers:
            scores["dense"] = inner_products(bundle.vectors.vectors(rows), state.features.vector)
        if "lexical" in plan.retrievers and bundle.lexical is not None:
            terms = query_terms(state.features)
            scores["lexical"] = bundle.lexical.scores(terms, rows)
            held = terms.here
        if plan.neighbours == "adapted":
            scores |= scores_by_means(bundle, state, rows)
        found: dict[RetrieverName, Rows] = {
            name: self._numbers_of(lists.get(name, rows[:0])) for name in plan.retrievers
        }
        grouped = state.query.group_by is not None
        documents = bundle.passages.documents(rows) if grouped else ()
        voted = np.where(voted >= 0, self._numbers_of(voted), -1)
        firsts = self._alike.firsts[rows] if state.query.fold else None
        return Found(found, self._numbers_of(rows), scores, documents, held, voted, firsts)

    def _fetched(self, state: QueryState) -> Fetched:
        known = self._bundle.neighbours
        labelled = [] if known is None else np.isin(state.candidates.rows, known.rows).tolist()
        judged = frozenset(
            one.id for one, has in zip(state.passages, labelled, strict=False) if has
        )
        return Fetched(state.passages, state.explanations, judged)

    @cached_property
    def _alike(self) -> Alike:
        return Alike(firsts_in(self._bundle, self._numbers))

    def _folded(self, state: QueryState, work: Fold) -> Folded:
        rows, places = self._alike.of(work.firsts)
        counts = np.ones(len(rows), np.int64)
        if state.allow is not None:  # in which only one of its copies here stands for the others
            at = np.searchsorted(state.allow, rows)
            there = np.searchsorted(state.allow, rows, "right") > at
            rows, places, at = rows[there], places[there], at[there]
            counts = np.ones_like(at) if state.stands_for is None else state.stands_for[at]
        found = Folded(np.full(len(work.firsts), NO_ROW), np.zeros(len(work.firsts), np.int64))
        found.rows[places], found.counts[places] = self._numbers_of(rows), counts
        return found

    def _compared(self, state: QueryState, work: Compare) -> Compared:
        ranker = None if state.plan.ranker is None else self.snapshot.rankers[state.plan.ranker]
        if ranker is None:
            raise FieldError("rank", NO_TOKENS)
        candidates = Candidates(self._own(work.rows), {"dense": work.dense})
        return Compared(ranker.scores(replace(state, candidates=candidates)))

    def _has_read(self, work: Read) -> HasRead:
        reader = self.snapshot.reader
        if reader is None:
            raise FieldError("read", NO_READER)
        read = reader.read(work.query, self._own(work.rows))
        rows = self._numbers_of(np.array(list(read), np.int64)).tolist()
        return HasRead(
            tuple(
                ReadTokens(row, one.positions, one.logits)
                for row, one in zip(rows, read.values(), strict=True)
            )
        )

    def _listed(self, work: GetPassage | GetDocument | ListPassages) -> Listed:
        contents = BundleContents(self._bundle)
        match work:
            case GetPassage(id_):
                found = contents.passage(id_)
                passages = [] if found is None else [found]
            case GetDocument(id_):
                passages = contents.document(id_)
            case ListPassages(after, limit, conditions):
                passages = contents.listed(after, limit, conditions)
        return Listed(tuple(passages), contents.count())

    def _counted(self, work: CountValues) -> Counted:
        rows = self._bundle.passages.rows(work.conditions)
        try:
            return Counted(len(rows), facet(self._bundle, work.field, rows, None))
        except FieldError as error:
            return Counted(len(rows), error)

    def _prepared(self, state: QueryState, work: Retrieve | Fetch) -> QueryState:
        """The ``state`` before the stages that ``work`` asks for."""
        if isinstance(work, Fetch):
            return replace(state, candidates=Candidates(self._own(work.rows), work.scores))
        # A little beyond: what counts as equal is known only where all shards' finds are side by side.
        deeper = replace(work.plan, retrieval_depth=work.plan.retrieval_depth + BEYOND)
        return replace(state, plan=deeper)

    def _numbers_of(self, rows: Rows) -> Rows:
        return self._numbers.of(self._bundle, rows)

    def _own(self, numbers: Rows) -> Rows:
        return self._numbers.rows(self._bundle, numbers)
