"""What asks all shards of a collection and merges what they find; a server takes it for one snapshot.

A query is encoded once. Then shards are asked three times: for candidates, which are merged; to compare the
tokens of those that are left, where hits are ranked; and for the texts of the hits. Shards keep nothing in
between, so that any replica of one can answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Protocol, TypeVar

import numpy as np

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Passage
from lurcher.cluster.cluster_file import ClusterFile
from lurcher.cluster.merge import Merged, merged
from lurcher.cluster.messages import (
    Asked,
    Compare,
    Compared,
    Done,
    Fetch,
    Fetched,
    Found,
    Reply,
    Request,
    Retrieve,
    Work,
)
from lurcher.cluster.shard import as_part
from lurcher.errors import FieldError, LurcherError, ShardsMissing
from lurcher.models.engines import EngineName
from lurcher.models.ranker.maxsim import blend
from lurcher.retrieval.query import Plan, Query, QueryState
from lurcher.retrieval.rankers.maxsim import ranking_of
from lurcher.retrieval.results import Explanation, SearchResult
from lurcher.retrieval.snapshot import Snapshot, result_of
from lurcher.retrieval.stages.encode import Encoded
from lurcher.retrieval.turns import ALONE

_ONE_BUNDLE = "is not done over shards; serve one bundle for it"


class Shards(Protocol):
    """The shards of a cluster, wherever they run."""

    def ask(self, requests: Mapping[int, Request], seconds: float) -> Mapping[int, Reply]:
        """The replies of shards by number; a shard that fails or needs more than ``seconds`` is left out."""


@dataclass(slots=True)
class _Search:
    """A query on its way, and the shards that did not answer for it."""

    asked: Asked
    state: QueryState
    merged: Merged | None = None
    error: LurcherError | None = None
    missing: set[int] = field(default_factory=set)


_Kind = TypeVar("_Kind", Found, Compared, Fetched)


class Coordinator(Snapshot):
    """Answers queries from the shards of a cluster; call it from one thread at a time."""

    def __init__(
        self, bundle: Bundle, cluster: ClusterFile, shards: Shards, shard_seconds: float,
        threads: int, engine: EngineName = "auto",
    ) -> None:  # fmt: skip
        """``bundle`` is the coordinator's of ``cluster``; a shard has ``shard_seconds`` for each request.

        Raises BundleError or ModelError.
        """
        super().__init__(as_part(bundle, cluster), threads, engine)
        self._cluster, self._shards, self._shard_seconds = cluster, shards, shard_seconds

    def run(
        self, queries: Sequence[Query], encoded: Sequence[Encoded | None] = ()
    ) -> list[SearchResult | LurcherError]:
        """As ``Snapshot.run``; ``degraded`` names shards that did not answer, such as "shard:3"."""
        start = perf_counter()
        texts = list(encoded) or self.encoded(queries)
        begun = self.begin(queries, texts)
        searches = {
            place: _Search(Asked(_plain(state.query), text), state)
            for place, (state, text) in enumerate(zip(begun, texts, strict=True))
            if not isinstance(state, LurcherError)
        }
        seconds = {"encode": perf_counter() - start}
        for name, stage in (
            ("retrieve_dense", self._retrieve), ("rank", self._rank), ("fetch", self._fetch)
        ):  # fmt: skip
            start = perf_counter()
            stage([one for one in searches.values() if one.error is None])
            seconds[name] = perf_counter() - start
        seconds["fuse"] = 0.0  # merging is part of the stage whose replies are merged
        return [
            state if isinstance(state, LurcherError) else self._result(searches[place], seconds)
            for place, state in enumerate(begun)
        ]

    def warm_up(self) -> None:
        """Encode a query; shards need not be there yet."""
        self.encoded([Query("a query to warm up")])

    def _plan_of(self, query: Query) -> Plan:
        for name, asked in (
            ("fold", query.fold), ("group_by", query.group_by), ("read", query.read),
            ("rank", query.rank in ("decoder", "t5", "reader")),
        ):  # fmt: skip
            if asked:
                raise FieldError(name, _ONE_BUNDLE)
        return super()._plan_of(query)

    def _result(self, search: _Search, seconds: dict[str, float]) -> SearchResult | LurcherError:
        if search.error is not None:
            return search.error
        late = [f"shard:{number}" for number in sorted(search.missing)]
        return replace(result_of(search.state, seconds), degraded=[*search.state.degraded, *late])

    def _retrieve(self, searches: Sequence[_Search]) -> None:
        """Find the candidates of each of ``searches``."""
        found = self._ask(searches, lambda one, _: Retrieve(one.asked), Found)
        for search, parts in zip(searches, found, strict=True):
            if search.error is None:
                state = search.state
                search.merged = merged(parts, state.plan, state.features.named)

    def _rank(self, searches: Sequence[_Search]) -> None:
        """Rank the candidates where they lie, if there is time; keep as many as are wanted."""
        ranked = []
        for search in searches:
            deadline = search.state.query.deadline
            if search.state.plan.ranker is None:
                continue
            if deadline is not None and perf_counter() > deadline:
                degraded = (*search.state.degraded, "rank")
                search.state = replace(search.state, degraded=degraded)
            else:
                ranked.append(search)

        def compare(search: _Search, shard: int) -> Work | None:
            found = _merged(search)
            rows = found.candidates.rows[found.of(shard)]
            return Compare(search.asked, rows) if len(rows) else None

        for search, parts in zip(ranked, self._ask(ranked, compare, Compared), strict=True):
            if search.error is None:
                _rank_by(search, {shard: one.maxsim for shard, one in parts.items()})
        for search in searches:
            if search.error is None:
                found = _merged(search)
                query = search.state.query
                best = np.arange(len(found.shards))[query.offset : query.last]
                search.merged = found.put(found.candidates.take(best))

    def _fetch(self, searches: Sequence[_Search]) -> None:
        """Read the passages of the hits, which are what is left of the candidates."""

        def fetch(search: _Search, shard: int) -> Work | None:
            found = _merged(search)
            some = found.candidates.take(found.of(shard))
            extras = search.state.query.extras
            asked = replace(search.asked, query=replace(search.asked.query, extras=extras))
            return Fetch(asked, some.rows, some.columns) if len(some.rows) else None

        for search, parts in zip(searches, self._ask(searches, fetch, Fetched), strict=True):
            if search.error is None:
                search.state = _fetched(search, parts)

    def _ask(
        self, searches: Sequence[_Search], work: Callable[[_Search, int], Work | None],
        kind: type[_Kind],
    ) -> list[dict[int, _Kind]]:  # fmt: skip
        """What every shard made of its ``work`` for each of ``searches``, by shard; None: it has none.

        Notes which shards did not answer, and the error of a search that goes no further.
        """
        works: dict[int, list[tuple[int, Work]]] = {}
        for shard in range(len(self._cluster.shards)):
            some = [(place, work(search, shard)) for place, search in enumerate(searches)]
            if mine := [(place, one) for place, one in some if one is not None]:
                works[shard] = mine
        fingerprint = self._cluster.fingerprint
        requests = {
            shard: Request(fingerprint, tuple(one for _, one in mine))
            for shard, mine in works.items()
        }
        replies = self._shards.ask(requests, self._shard_seconds) if requests else {}
        found: list[dict[int, _Kind]] = [{} for _ in searches]
        for shard, mine in works.items():
            reply = replies.get(shard)
            if reply is None or reply.fingerprint != fingerprint:
                for place, _ in mine:
                    searches[place].missing.add(shard)
                continue
            for (place, _), done in zip(mine, reply.done, strict=True):
                _note(searches[place], found[place], shard, done, kind)
        for search in searches:
            missing, every = sorted(search.missing), len(self._cluster.shards)
            if missing and (not search.state.query.partial or len(missing) == every):
                search.error = search.error or ShardsMissing(missing, every)
        return found


def _note(
    search: _Search, found: dict[int, _Kind], shard: int, done: Done | LurcherError, kind: type[_Kind]
) -> None:  # fmt: skip
    """Put what a shard has ``done`` into ``found``, or its error into ``search``."""
    if isinstance(done, LurcherError):
        search.error = done
    elif isinstance(done, kind):
        found[shard] = done
    else:
        raise TypeError(f"shard {shard} sent {type(done).__name__} for {kind.__name__}")


def _plain(query: Query) -> Query:
    """The ``query`` as shards are asked: the time that is left is the coordinator's to watch."""
    return replace(query, deadline=None, extras=frozenset(), turn=ALONE)


def _merged(search: _Search) -> Merged:
    assert search.merged is not None  # noqa: S101 (a search without candidates has an error)
    return search.merged


def _rank_by(search: _Search, similarities: Mapping[int, np.ndarray]) -> None:
    """Order the candidates by late interaction (C,) of those in each shard; others are left out."""
    found = _merged(search)
    answered = np.flatnonzero(np.isin(found.shards, list(similarities)))
    found = found.put(found.candidates.take(answered))
    similarity = np.empty(len(answered), np.float32)
    for shard, some in similarities.items():
        similarity[found.of(shard)] = some
    candidates, weight = found.candidates, search.state.plan.late_weight
    score = blend(candidates.columns["dense"], similarity, weight)
    ranking = ranking_of(candidates, similarity, score)
    search.merged = found.put(candidates.take(ranking.order, **ranking.columns))


def _fetched(search: _Search, parts: Mapping[int, Fetched]) -> QueryState:
    """The state with the passages of its hits; those of shards that did not answer are left out."""
    found = _merged(search)
    passages: dict[int, Passage] = {}
    explanations: dict[int, Explanation] = {}
    for shard, part in parts.items():
        places = found.of(shard).tolist()
        passages |= zip(places, part.passages, strict=True)
        explanations |= zip(places, part.explanations, strict=False)  # if any was asked for
    hits = sorted(passages)
    return replace(
        search.state, candidates=found.candidates.take(np.array(hits, np.int64)),
        passages=tuple(passages[place] for place in hits),
        explanations=tuple(explanations[place] for place in hits) if explanations else (),
    )  # fmt: skip
