"""Writes over shards: a document goes to the shard that its id names, a request to all that it concerns.

A request that concerns several shards is checked by all of them before any writes, so that what is at fault
is refused as a whole. Then each writes its part. Should one fail after that, the others have written: the
reply says so, and the request can be sent again, as nothing is done twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import uuid4

from lurcher.cluster.asking import refuses_filter
from lurcher.cluster.cluster_file import ClusterFile
from lurcher.cluster.messages import ToWrite, Until, Wrote
from lurcher.cluster.sharding import shard_of
from lurcher.errors import FieldError, LurcherError, PartlyWritten
from lurcher.index_builder.edit.requests import (
    Delete,
    Patch,
    Receipt,
    Upsert,
    check_confirmed,
    check_once,
)
from lurcher.index_builder.edit.requests import Request as Write

_RECORD = re.compile(r"records\.([0-9]+)")


class Writers(Protocol):
    """The writers of a cluster, one for each shard, wherever they run."""

    async def ask(self, requests: Mapping[int, ToWrite]) -> Mapping[int, Wrote]:
        """What became of each of ``requests``, by number of the shard."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What one shard writes of a request; ``places`` are those of its records in it."""

    write: Write
    places: Sequence[int] = ()


class ClusterWrites:
    """Takes the writes of a cluster."""

    def __init__(self, cluster: ClusterFile, writers: Writers) -> None:
        self._fingerprint, self._shards = cluster.fingerprint, len(cluster.shards)
        self._writers = writers

    async def submit(self, request: Write, visible: bool) -> Receipt:
        """The receipt of ``request``, once it is on the disks of all and, if ``visible``, searches know it.

        ``sequence`` is that of the shard which has written most. Raises what a writer raised; PartlyWritten
        where only some shards have written.
        """
        if not request.sender.key:  # so that a writer that dies can be asked again
            request = replace(request, sender=replace(request.sender, key=uuid4().hex))
        parts = self._parts(request)
        if len(parts) > 1:
            found = await self._ask(parts, "check")
            would, refused = _outcomes(parts, found)
            parts = _agreed(parts, refused)
            # What was done before in any shard was confirmed, or needed not be.
            again = any(one.before for one in found.values())
            if isinstance(request, Delete) and request.conditions is not None and not again:
                passages = sum(one.passages for one in found.values())
                check_confirmed(request, sum(one.removed for one in would), passages)
        found = await self._ask(parts, "visible" if visible else "durable")
        done, failed = _outcomes(parts, found)
        if failed and done:
            raise PartlyWritten(failed, len(parts))
        for error in failed.values():
            raise error
        return _summed(done, request)

    async def _ask(self, parts: Mapping[int, _Part], until: Until) -> Mapping[int, Wrote]:
        """What became of ``parts``."""
        return await self._writers.ask(
            {shard: ToWrite(self._fingerprint, part.write, until) for shard, part in parts.items()}
        )

    def _parts(self, request: Write) -> dict[int, _Part]:
        """What each shard has to do of ``request``, by number. Raises FieldError for an id twice."""
        match request:
            case Upsert(documents=documents):
                check_once(documents)
                ids = [one.id for one in documents]
            case Patch(metadata=metadata):
                ids = list(metadata)
            case Delete(conditions=None):
                ids = list(request.ids)
            case Delete():
                # What is all of a shard may not be all.
                confirmed = replace(request, confirm=request.confirm or self._shards > 1)
                return dict.fromkeys(range(self._shards), _Part(confirmed))
        places: dict[int, list[int]] = {}
        for place, id_ in enumerate(ids):
            places.setdefault(shard_of(id_, self._shards), []).append(place)
        for id_ in request.versions:
            places.setdefault(shard_of(id_, self._shards), [])
        return {shard: self._part(request, shard, own) for shard, own in places.items()}

    def _part(self, request: Write, shard: int, places: Sequence[int]) -> _Part:
        """What ``shard`` has to do of ``request``: the records at ``places``."""
        versions = {
            id_: version
            for id_, version in request.versions.items()
            if shard_of(id_, self._shards) == shard
        }
        match request:
            case Upsert(documents=documents):
                own = tuple(documents[place] for place in places)
                return _Part(replace(request, documents=own, versions=versions), places)
            case Patch(metadata=metadata):
                records = list(metadata.items())
                merged = dict(records[place] for place in places)
                return _Part(replace(request, metadata=merged, versions=versions), places)
            case Delete(ids=ids):
                some = tuple(ids[place] for place in places)
                return _Part(replace(request, ids=some, versions=versions), places)


def _outcomes(
    parts: Mapping[int, _Part], found: Mapping[int, Wrote]
) -> tuple[list[Receipt], dict[int, LurcherError]]:
    """The receipts of the shards that could, and the errors of others."""
    receipts, errors = list[Receipt](), dict[int, LurcherError]()
    for shard, one in found.items():
        if isinstance(one.outcome, LurcherError):
            errors[shard] = _in_request(one.outcome, parts[shard].places)
        else:
            receipts.append(one.outcome)
    return receipts, errors


def _agreed(parts: Mapping[int, _Part], refused: Mapping[int, LurcherError]) -> dict[int, _Part]:
    """Those of ``parts`` that are not ``refused``; raises the first error, if it is one of the whole."""
    at_fault = [
        one for one in refused.values() if not refuses_filter(one) or len(refused) == len(parts)
    ]
    for error in sorted(at_fault, key=_place):
        raise error
    return {shard: part for shard, part in parts.items() if shard not in refused}


def _in_request(error: LurcherError, places: Sequence[int]) -> LurcherError:
    """``error`` with the place in the request of a record that stood elsewhere in a shard's part of it."""
    if isinstance(error, FieldError) and (found := _RECORD.match(error.field)):
        place = places[int(found[1])]
        return FieldError(f"records.{place}{error.field[found.end() :]}", error.reason)
    return error


def _place(error: LurcherError) -> int:
    """Which record of the request ``error`` is about; -1 if about none."""
    found = _RECORD.match(error.field) if isinstance(error, FieldError) else None
    return -1 if found is None else int(found[1])


def _summed(receipts: Sequence[Receipt], request: Write) -> Receipt:
    """What ``receipts`` say together of ``request``."""
    unknown = {id_ for one in receipts for id_ in one.unknown}
    asked = dict.fromkeys(request.ids) if isinstance(request, Delete) else ()
    return Receipt(
        sequence=max(one.sequence for one in receipts),
        upserted=sum(one.upserted for one in receipts),
        unchanged=sum(one.unchanged for one in receipts),
        added=sum(one.added for one in receipts), removed=sum(one.removed for one in receipts),
        patched=sum(one.patched for one in receipts),
        unknown=tuple(id_ for id_ in asked if id_ in unknown),
    )  # fmt: skip
