"""What a collection in shards has, read by id: each shard is asked for what lies in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import merge
from itertools import islice
from typing import TypeVar

from lurcher.bundle.facets import Facet, joined
from lurcher.bundle.passages import Condition, Passage
from lurcher.cluster.asking import Asking, refuses_filter
from lurcher.cluster.messages import (
    Counted,
    CountValues,
    GetDocument,
    GetPassage,
    Listed,
    ListPassages,
    Request,
    Work,
)
from lurcher.cluster.sharding import shard_of
from lurcher.errors import FieldError, LurcherError, NotReady

_Kind = TypeVar("_Kind", Listed, Counted)


class ShardContents:
    """The passages of all shards. Each method raises NotReady where one does not answer."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def passage(self, id_: str) -> Passage | None:
        """As ``Contents.passage``."""
        (found,) = self._asked(GetPassage(id_), Listed, [self._shard_of(id_)])
        return found.passages[0] if found.passages else None

    def document(self, id_: str) -> list[Passage]:
        """As ``Contents.document``."""
        (found,) = self._asked(GetDocument(id_), Listed, [self._shard_of(id_)])
        return list(found.passages)

    def listed(self, after: str, limit: int, conditions: Sequence[Condition] = ()) -> list[Passage]:
        """As ``Contents.listed``."""
        found = self._of_all(ListPassages(after, limit, tuple(conditions)), Listed)
        return list(islice(merge(*(one.passages for one in found), key=lambda one: one.id), limit))

    def facets(
        self, fields: Sequence[str], limit: int, conditions: Sequence[Condition] = ()
    ) -> tuple[int, list[Facet]]:
        """As ``Contents.facets``."""
        total, facets = 0, []
        for field in fields:
            found = self._of_all(CountValues(field, tuple(conditions)), Counted)
            parts = [one.facet for one in found if isinstance(one.facet, Facet)]
            for one in found:
                if isinstance(one.facet, FieldError) and not parts:
                    raise one.facet
            total = sum(one.passages for one in found)
            facets.append(joined(parts, limit))
        return total, facets

    def count(self) -> int:
        """As ``Contents.count``."""
        return sum(one.count for one in self._of_all(ListPassages("", 0, ()), Listed))

    def _shard_of(self, id_: str) -> int:
        return shard_of(id_, self._asking.shards)

    def _of_all(self, work: Work, kind: type[_Kind]) -> list[_Kind]:
        return self._asked(work, kind, range(self._asking.shards))

    def _asked(self, work: Work, kind: type[_Kind], numbers: Iterable[int]) -> list[_Kind]:
        """What the shards ``numbers`` make of ``work``, but for those without what a filter is about."""
        request = Request(self._asking.fingerprint, (work,))
        requests = dict.fromkeys(numbers, request)
        replies = self._asking.replies(requests)
        if len(replies) < len(requests):
            raise NotReady("not all shards that are asked for this answer; try again")
        done = [replies[number].done[0] for number in requests]
        found = [one for one in done if isinstance(one, kind)]
        for one in done:
            if isinstance(one, LurcherError) and not (found and refuses_filter(one)):
                raise one
        return found
