"""What asks all shards of a collection and merges what they find; a server takes it for one snapshot.

A query is encoded once. Then shards are asked at least three times: for candidates, which are merged; to
score those that are left, where hits are ranked; and for the texts of the hits. Where texts are folded they
are asked once more, which copies are the first, and for a reader, to read passages. All that a search asks of
a shard is answered from one state of it; should that be gone meanwhile, the search begins again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from time import perf_counter

import numpy as np

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Passage
from lurcher.cluster.asking import Asking, Search, Shards, StateGone
from lurcher.cluster.cluster_file import ClusterFile
from lurcher.cluster.contents import ShardContents
from lurcher.cluster.folding import find
from lurcher.cluster.known import Labelled, numbered, with_rows
from lurcher.cluster.merge import merged
from lurcher.cluster.messages import Asked, Fetch, Fetched, Found, Work
from lurcher.cluster.ranking import RankOverShards
from lurcher.cluster.reading import ReadOverShards
from lurcher.cluster.shard import as_part, words_of
from lurcher.errors import FieldError, LurcherError, NotReady
from lurcher.models.engines import EngineName
from lurcher.retrieval.names import named_share
from lurcher.retrieval.query import Extra, Plan, Query
from lurcher.retrieval.results import Explanation, SearchResult
from lurcher.retrieval.snapshot import Snapshot, result_of
from lurcher.retrieval.stages.encode import Encoded
from lurcher.retrieval.stages.group import deeper_plan, first_of_each, kept_places
from lurcher.retrieval.turns import ALONE

# A replica that dies between two questions takes its states with it.
_TRIES = 3
_CHANGES = "shards change faster than they can be searched, or their replicas die; try again"

# Stages that are the coordinator's own: those of known queries.
_VOTE = frozenset({"retrieve_neighbours"})
_NEIGHBOURS: Extra = "contributing_neighbours"

_ONE_BUNDLE = "is not done over shards; serve one bundle for it"


class Coordinator(Snapshot):
    """Answers queries from the shards of a cluster; call it from one thread at a time."""

    def __init__(
        self, bundle: Bundle, cluster: ClusterFile, shards: Shards, shard_seconds: float,
        threads: int, engine: EngineName = "auto",
    ) -> None:  # fmt: skip
        """``bundle`` is the coordinator's of ``cluster``; a shard has ``shard_seconds`` for each request.

        Raises BundleError or ModelError.
        """
        known = bundle.neighbours
        self._labelled = Labelled([] if known is None else known.files.ids, len(cluster.shards))
        bundle = numbered(bundle)
        (segment,) = bundle.segments
        part = as_part(bundle, cluster, words_of(bundle, cluster), segment.name)
        super().__init__(part, threads, engine)
        self._asking = Asking(cluster, shards, shard_seconds)
        self._contents = ShardContents(self._asking)
        self._rank_over_shards = RankOverShards(self._asking, self.rankers)
        self._read_over_shards = None
        if self._side is not None and self._side.reader is not None:
            self._read_over_shards = ReadOverShards(self._asking, self._side.reader, self._side)

    def run(
        self, queries: Sequence[Query], encoded: Sequence[Encoded | None] = ()
    ) -> list[SearchResult | LurcherError]:
        """As ``Snapshot.run``; ``degraded`` names shards that did not answer, such as "shard:3"."""
        start = perf_counter()
        texts = list(encoded) or self.encoded(queries)
        for _ in range(_TRIES):
            with suppress(StateGone):
                return self._run(queries, texts, start)
        return [NotReady(_CHANGES)] * len(queries)

    def _run(
        self, queries: Sequence[Query], texts: Sequence[Encoded | None], start: float
    ) -> list[SearchResult | LurcherError]:
        """As ``run``, of queries encoded since ``start``. Raises StateGone."""
        begun = self.begin(queries, texts)
        searches = {
            place: Search(Asked(_plain(state.query), text), state)
            for place, (state, text) in enumerate(zip(begun, texts, strict=True))
            if not isinstance(state, LurcherError)
        }
        seconds = {"encode": perf_counter() - start}
        stages = {"retrieve_dense": self._retrieve, "rank": self._rank, "fetch": self._fetch}
        if any(_votes(one) for one in searches.values()):
            stages = {"retrieve_neighbours": self._vote, **stages}
        if any(query.read is not None for query in queries):
            stages["read"] = self._read
        for name, stage in stages.items():
            start = perf_counter()
            stage([one for one in searches.values() if one.error is None])
            seconds[name] = perf_counter() - start
        seconds["fuse"] = 0.0  # merging is part of the stage whose replies are merged
        return [
            state if isinstance(state, LurcherError) else _result(searches[place], seconds)
            for place, state in enumerate(begun)
        ]

    @property
    def contents(self) -> ShardContents:
        """What all shards have, read by id."""
        return self._contents

    def warm_up(self) -> None:
        """Encode a query; shards need not be there yet."""
        self.encoded([Query("a query to warm up")])

    def _plan_of(self, query: Query) -> Plan:
        if query.read is not None and query.read.write:
            raise FieldError("write", _ONE_BUNDLE)
        return super()._plan_of(query)

    def _allow(self, *_: object) -> tuple[None, None]:
        """Which passages may be found, shards know, and what a filter can be about."""
        return None, None

    def _retrieve(self, searches: Sequence[Search]) -> None:
        """Find the candidates of each of ``searches``; for grouped hits, of as many documents as wanted."""
        self._find(searches)
        # As ``stages.group.Deepen`` in one bundle: pages beyond the first are parts of what is found so.
        deep = [one for one in searches if one.state.query.group_by and not one.state.query.offset]
        ranked = [0 if one.error else len(one.found.shards) for one in deep]
        left = deep
        while left := [one for one in left if _goes_deeper(one)]:
            self._find(left)
        for search, count in zip(deep, ranked, strict=True):
            if search.error is None:
                documents = search.candidate_documents
                # Fewer, where a shard has not answered the second time.
                count = min(count, len(documents))
                search.keep(kept_places(documents, count, search.state.query.top_k))

    def _vote(self, searches: Sequence[Search]) -> None:
        """Let known queries vote, where they do; which passages may be found is for shards to say."""
        voting = [one for one in searches if _votes(one)]
        voted = self.advance([one.state for one in voting], {}, _VOTE)
        for search, state in zip(voting, voted, strict=True):
            if isinstance(state, LurcherError):
                search.error = state
            else:
                search.votes = self._labelled.by_shard(state.retrieved["voting"])

    def _find(self, searches: Sequence[Search]) -> None:
        """Find candidates of each of ``searches`` by its plan."""
        for search, parts in zip(searches, find(self._asking, searches), strict=True):
            if search.error is None:
                named = self._named(search, parts)
                votes = with_rows(search.votes, parts, search.missing)
                search.put(merged(parts, search.state.plan, named, votes))
                for part in parts.values():
                    documents = zip(part.rows.tolist(), part.documents, strict=False)
                    search.documents |= documents  # there are none where nothing is grouped

    def _named(self, search: Search, parts: Mapping[int, Found]) -> float:
        """The share of a query that is names, by how many passages of all shards have its words now."""
        features, text = search.state.features, search.asked.text
        held = [part.held for part in parts.values() if part.held is not None]
        if features.terms is None or text is None or len(held) < self._asking.shards:
            return features.named
        terms = replace(features.terms, frequency=np.sum(held, axis=0))
        return named_share(search.state.query.text, text.spans, terms)

    def _rank(self, searches: Sequence[Search]) -> None:
        """Rank the candidates where they lie, if there is time; keep as many as are wanted."""
        self._rank_over_shards(searches)
        for search in searches:
            if search.error is None:
                query, places = search.state.query, np.arange(len(search.found.shards))
                if query.group_by:
                    places = first_of_each(search.candidate_documents)
                search.keep(places[query.offset : query.last])

    def _fetch(self, searches: Sequence[Search]) -> None:
        """Read the passages of the hits, which are what is left of the candidates."""
        works = [_fetches(search) for search in searches]
        for search, parts in zip(searches, self._asking.ask(searches, works, Fetched), strict=True):
            if search.error is None:
                _take_in(search, parts)
                if _NEIGHBOURS in search.state.query.extras:
                    self._name_neighbours(search)

    def _name_neighbours(self, search: Search) -> None:
        """Put the known queries that raised each hit into its explanation."""
        state = search.state
        asked = replace(state, query=replace(state.query, extras=frozenset({_NEIGHBOURS})))
        ids = [one.id if one.id in search.judged else None for one in state.passages]
        numbers = self._labelled.numbers_of(ids)
        asked = replace(asked, candidates=replace(state.candidates, rows=numbers))
        (named,) = self.advance([asked], {}, {"explain"})
        if isinstance(named, LurcherError):
            search.error = named
            return
        explanations = tuple(
            replace(one, contributing_neighbours=other.contributing_neighbours)
            for one, other in zip(
                state.explanations or (Explanation(),) * len(state.passages), named.explanations,
                strict=True,
            )
        )  # fmt: skip
        search.state = replace(state, explanations=explanations)

    def _read(self, searches: Sequence[Search]) -> None:
        """Find answers in the hits of those of ``searches`` that ask for any."""
        some = [one for one in searches if one.state.query.read is not None]
        if self._read_over_shards is not None:
            self._read_over_shards(some)


def _votes(search: Search) -> bool:
    """Whether known queries vote in ``search``."""
    return search.state.plan.neighbours == "voting"


def _goes_deeper(search: Search) -> bool:
    """Whether too few documents were found for ``search``, which has a plan that finds more then."""
    if search.error is not None:
        return False
    state = search.state
    plan = deeper_plan(state.plan, search.candidate_documents, state.query.top_k)
    search.state = state if plan is None else replace(state, plan=plan)
    return plan is not None


def _plain(query: Query) -> Query:
    """The ``query`` as shards are asked: the time that is left is the coordinator's to watch.

    So are known queries, and the reader, which compares no candidates; shards rank for it by maxsim.
    """
    rank = "maxsim" if query.rank == "reader" else query.rank
    return replace(
        query, rank=rank, neighbours="off", deadline=None, extras=frozenset(), read=None, turn=ALONE
    )


def _fetches(search: Search) -> dict[int, Work]:
    """What shards have to fetch of the hits."""
    found, extras = search.found, search.state.query.extras - {_NEIGHBOURS}
    asked = replace(search.asked, query=replace(search.asked.query, extras=extras))
    works: dict[int, Work] = {}
    for shard in np.unique(found.shards).tolist():
        some = found.candidates.take(found.of(shard))
        works[shard] = Fetch(asked, some.rows, some.columns)
    return works


def _take_in(search: Search, parts: Mapping[int, Fetched]) -> None:
    """Put the passages of the hits into the state; hits in shards that did not answer are left out."""
    found = search.found
    passages: dict[int, Passage] = {}
    explanations: dict[int, Explanation] = {}
    for shard, part in parts.items():
        places = found.of(shard).tolist()
        passages |= zip(places, part.passages, strict=True)
        explanations |= zip(places, part.explanations, strict=False)  # if any was asked for
        search.judged |= part.judged
    hits = sorted(passages)
    search.keep(np.array(hits, np.int64))
    search.state = replace(
        search.state, passages=tuple(passages[place] for place in hits),
        explanations=tuple(explanations[place] for place in hits) if explanations else (),
    )  # fmt: skip


def _result(search: Search, seconds: dict[str, float]) -> SearchResult | LurcherError:
    if search.error is not None:
        return search.error
    late = [f"shard:{number}" for number in sorted(search.missing)]
    return replace(result_of(search.state, seconds), degraded=[*search.state.degraded, *late])
