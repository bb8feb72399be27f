"""Searches on their way through the shards, and one question to all of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors
from lurcher.cluster.cluster_file import ClusterFile
from lurcher.cluster.merge import Merged
from lurcher.cluster.messages import (
    Asked,
    Compared,
    Done,
    Fetched,
    Found,
    HasRead,
    ReadTokens,
    Reply,
    Request,
    Work,
)
from lurcher.errors import LurcherError, ShardsMissing
from lurcher.retrieval.query import QueryState


class Shards(Protocol):
    """The shards of a cluster, wherever they run."""

    def ask(self, requests: Mapping[int, Request], seconds: float) -> Mapping[int, Reply]:
        """The replies of shards by number; a shard that fails or needs more than ``seconds`` is left out."""


@dataclass(slots=True)
class Search:
    """A query on its way, what was found for it, and the shards that did not answer for it.

    By row of the corpus, ``read`` has what was read of passages, and ``documents`` what they are parts of,
    where hits are grouped by that.
    """

    asked: Asked
    state: QueryState
    merged: Merged | None = None
    read: dict[int, ReadTokens] = field(default_factory=dict)
    documents: dict[int, str] = field(default_factory=dict)
    error: LurcherError | None = None
    missing: set[int] = field(default_factory=set)

    @property
    def found(self) -> Merged:
        """The candidates, once there are any."""
        assert self.merged is not None  # noqa: S101 (a search without candidates has an error)
        return self.merged

    def put(self, found: Merged) -> None:
        """Go on with the candidates ``found``."""
        self.merged, self.state = found, replace(self.state, candidates=found.candidates)

    def keep(self, places: Rows, **columns: Vectors) -> None:
        """Keep the candidates at ``places`` (k,), in that order, with more ``columns`` (C,)."""
        self.put(self.found.put(self.found.candidates.take(places, **columns)))

    @property
    def candidate_documents(self) -> list[str]:
        """The ids (C,) of the documents of the candidates, where hits are grouped by these."""
        return [self.documents[row] for row in self.found.candidates.rows.tolist()]

    @property
    def ranks(self) -> bool:
        """Whether its candidates are to be ranked, and were not left as they are for want of time."""
        return self.state.plan.ranker is not None and "rank" not in self.state.degraded


_Kind = TypeVar("_Kind", Found, Compared, Fetched, HasRead)


class Asking:
    """Asks all shards of a cluster, each of which has the same time for one question."""

    def __init__(self, cluster: ClusterFile, shards: Shards, seconds: float) -> None:
        self._cluster, self._shards, self._seconds = cluster, shards, seconds

    def of_all(self, work: Work) -> dict[int, Work]:
        """The same ``work`` for every shard."""
        return dict.fromkeys(range(len(self._cluster.shards)), work)

    def ask(
        self, searches: Sequence[Search], works: Sequence[Mapping[int, Work]], kind: type[_Kind]
    ) -> list[dict[int, _Kind]]:
        """What shards made of the ``works`` of each of ``searches``, both by number of the shard.

        Notes which shards did not answer, and the error of a search that goes no further.
        """
        places: dict[int, list[int]] = {}  # of the searches that ask a shard
        for place, work in enumerate(works):
            for shard in work:
                places.setdefault(shard, []).append(place)
        fingerprint = self._cluster.fingerprint
        requests = {
            shard: Request(fingerprint, tuple(works[place][shard] for place in mine))
            for shard, mine in places.items()
        }
        replies = self._shards.ask(requests, self._seconds) if requests else {}
        found: list[dict[int, _Kind]] = [{} for _ in searches]
        for shard, mine in places.items():
            reply = replies.get(shard)
            if reply is None or reply.fingerprint != fingerprint:
                for place in mine:
                    searches[place].missing.add(shard)
                continue
            for place, done in zip(mine, reply.done, strict=True):
                _note(searches[place], found[place], shard, done, kind)
        for search in searches:
            missing, every = sorted(search.missing), len(self._cluster.shards)
            if missing and (not search.state.query.partial or len(missing) == every):
                search.error = search.error or ShardsMissing(missing, every)
        return found


def _note(
    search: Search, found: dict[int, _Kind], shard: int, done: Done | LurcherError, kind: type[_Kind]
) -> None:  # fmt: skip
    """Put what a shard has ``done`` into ``found``, or its error into ``search``."""
    if isinstance(done, LurcherError):
        search.error = done
    elif isinstance(done, kind):
        found[shard] = done
    else:
        raise TypeError(f"shard {shard} sent {type(done).__name__} for {kind.__name__}")
