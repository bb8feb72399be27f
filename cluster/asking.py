"""Searches on their way through the shards, and one question to all of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeGuard, TypeVar

import numpy as np

from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors
from lurcher.cluster.cluster_file import ClusterFile
from lurcher.cluster.known import Voted
from lurcher.cluster.merge import Merged
from lurcher.cluster.messages import (
    NEWEST,
    Asked,
    Compared,
    Done,
    Fetched,
    Folded,
    Found,
    HasRead,
    ReadTokens,
    Reply,
    Request,
    Retrieve,
    Work,
    is_gone,
)
from lurcher.errors import FieldError, LurcherError, ShardsMissing
from lurcher.retrieval.query import Plan, QueryState

_NO_VOTES = Voted((), np.zeros(0, np.float32))


class Shards(Protocol):
    """The shards of a cluster, wherever they run."""

    def ask(self, requests: Mapping[int, Request], seconds: float) -> Mapping[int, Reply]:
        """The replies of shards by number; a shard that fails or needs more than ``seconds`` is left out."""


@dataclass(slots=True)
class Search:
    """A query on its way, what was found for it, and the shards that did not answer for it.

    By row, ``read`` has what was read of passages, and ``documents`` what they are parts of, where hits are
    grouped by that. ``votes`` has those of known queries for passages of each shard, ``judged`` the ids of
    hits that any is labelled with. ``states`` are those of the shards in which it goes on, once these have
    been asked.
    """

    asked: Asked
    state: QueryState
    merged: Merged | None = None
    read: dict[int, ReadTokens] = field(default_factory=dict)
    documents: dict[int, str] = field(default_factory=dict)
    judged: set[str] = field(default_factory=set)
    votes: Mapping[int, Voted] = field(default_factory=dict)
    error: LurcherError | None = None
    missing: set[int] = field(default_factory=set)
    states: dict[int, str] = field(default_factory=dict)

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


_Kind = TypeVar("_Kind", Found, Folded, Compared, Fetched, HasRead)


class StateGone(Exception):
    """A shard has changed, and has no longer what was found in it: the searches have to begin again."""


class Asking:
    """Asks all shards of a cluster, each of which has the same time for one question.

    ``shards`` is how many there are, and ``fingerprint`` that of the cluster.
    """

    def __init__(self, cluster: ClusterFile, shards: Shards, seconds: float) -> None:
        self.fingerprint, self.shards = cluster.fingerprint, len(cluster.shards)
        self._shards, self._seconds = shards, seconds

    def replies(self, requests: Mapping[int, Request]) -> dict[int, Reply]:
        """The replies to ``requests``, by number, of the shards that answer and are of this version."""
        found = self._shards.ask(requests, self._seconds)
        return {
            shard: reply for shard, reply in found.items() if reply.fingerprint == self.fingerprint
        }

    def to_find(self, search: Search, plan: Plan) -> dict[int, Work]:
        """What has every shard find candidates of ``search`` as ``plan`` says."""
        return {
            shard: Retrieve(search.asked, plan, search.votes.get(shard, _NO_VOTES).ids)
            for shard in range(self.shards)
        }

    def ask(
        self, searches: Sequence[Search], works: Sequence[Mapping[int, Work]], kind: type[_Kind]
    ) -> list[dict[int, _Kind]]:
        """What shards made of the ``works`` of each of ``searches``, both by number of the shard.

        ``searches`` have gone the same way until now. Notes which shards did not answer, and the error of a
        search that goes no further. Raises StateGone.
        """
        places: dict[int, list[int]] = {}  # of the searches that ask a shard
        for place, work in enumerate(works):
            for shard in work:
                places.setdefault(shard, []).append(place)
        requests = {
            shard: Request(
                self.fingerprint, tuple(works[place][shard] for place in mine),
                searches[mine[0]].states.get(shard, NEWEST),
            )
            for shard, mine in places.items()
        }  # fmt: skip
        replies = self.replies(requests) if requests else {}
        found: list[dict[int, _Kind]] = [{} for _ in searches]
        refusals: dict[int, LurcherError] = {}
        for shard, mine in places.items():
            reply = replies.get(shard)
            if reply is None:
                for place in mine:
                    searches[place].missing.add(shard)
                continue
            if is_gone(requests[shard], reply):
                raise StateGone
            for place, done in zip(mine, reply.done, strict=True):
                searches[place].states[shard] = reply.state
                if refuses_filter(done):
                    refusals[place] = done
                else:
                    _note(searches[place], found[place], shard, done, kind)
        for place, refusal in refusals.items():
            if not found[place]:
                # A shard that has not answered may have what the filter compares.
                missing = sorted(searches[place].missing)
                error = ShardsMissing(missing, self.shards) if missing else refusal
                searches[place].error = searches[place].error or error
        for search in searches:
            missing, every = sorted(search.missing), self.shards
            if missing and (not search.state.query.partial or len(missing) == every):
                search.error = search.error or ShardsMissing(missing, every)
        return found


def refuses_filter(outcome: object) -> TypeGuard[FieldError]:
    """Whether a shard did not do something because it has none of what a filter compares.

    A field that was written since the build may be in some shards only: then there is nothing in the others,
    and it is an error only if all say so.
    """
    return isinstance(outcome, FieldError) and outcome.field.startswith("filter.")


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
