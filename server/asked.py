"""What answers a request: the collection that it asks, or several together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.exceptions import HTTPException

from lurcher.errors import FieldError, LurcherError
from lurcher.models.reader.reader import ReaderConfig
from lurcher.retrieval.capabilities import Capabilities
from lurcher.retrieval.query import Query
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.several import check_comparable
from lurcher.retrieval.snapshot import Snapshot
from lurcher.server.admission import Caller
from lurcher.server.collection import Collection
from lurcher.server.lookup import collection_named, collection_of
from lurcher.server.noted import note
from lurcher.server.schemas.answer import AnswerRequest
from lurcher.server.schemas.search import BatchRequest, SearchRequest
from lurcher.server.service import Service
from lurcher.server.serving import Serving
from lurcher.server.several import Several


@dataclass(frozen=True, slots=True)
class Asked:
    """Leased ``servings``, by the names of their collections; ``several`` None: there is one."""

    servings: Mapping[str, Serving]
    several: Several | None = None

    @property
    def first(self) -> Serving:
        """The first, or the only one."""
        return next(iter(self.servings.values()))

    @property
    def capabilities(self) -> Capabilities:
        """Those of the first; whether the others have them, a search finds out."""
        return self.first.capabilities

    @property
    def calibrated(self) -> bool:
        """Whether answers' probabilities were measured on the passages of each."""
        return all(one.capabilities.calibrated for one in self.servings.values())

    @property
    def reader(self) -> ReaderConfig | None:
        """What the reader says of itself; None without one, or where that of several differs."""
        reader, *others = [one.manifest.reader for one in self.servings.values()]
        return None if any(one != reader for one in others) else reader

    @property
    def bundles(self) -> dict[str, Any]:
        """Which bundles answer, as a reply says it."""
        if self.several is None:
            return {"bundle": self.first.bundle}
        return {"collections": {name: one.bundle for name, one in self.servings.items()}}

    @property
    def _snapshots(self) -> dict[str, Snapshot]:
        return {name: one.snapshot for name, one in self.servings.items()}

    def search(
        self, queries: Sequence[Query], timeout_ms: int | None, caller: Caller, *, degrade: bool
    ) -> Coroutine[None, None, list[tuple[SearchResult, float] | LurcherError]]:
        """As ``Serving.search``, or as ``Several.search``."""
        if self.several is None:
            return self.first.search(queries, timeout_ms, caller, degrade=degrade)
        return self.several.search(queries, self._snapshots, timeout_ms, caller, degrade=degrade)

    def answer(
        self, question: Query, timeout_ms: int | None, caller: Caller, *, degrade: bool
    ) -> Coroutine[None, None, tuple[SearchResult, float]]:
        """As ``Serving.answer``, or as ``Several.answer``."""
        if self.several is None:
            return self.first.answer(question, timeout_ms, caller, degrade=degrade)
        return self.several.answer(question, self._snapshots, timeout_ms, caller)


@asynccontextmanager
async def asked(
    body: SearchRequest | BatchRequest | AnswerRequest, request: Request
) -> AsyncIterator[Asked]:
    """Lease what ``body`` asks: the collection of ``request``, or those that it names.

    Raises what ``collection_of`` does, DeadlinePassed where ``min_sequence`` is not there in time, and
    FieldError for collections that cannot be asked together.
    """
    if body.collections is None:
        collection = collection_of(request)
        await collection.reached(body.min_sequence, body.timeout_ms)
        with collection.lease() as serving:
            yield Asked({collection.name: serving})
        return
    if "collection" in request.path_params:
        raise FieldError("collections", "this route asks the one that its path names")
    if body.min_sequence is not None:
        reason = "counts the writes of one collection; ask that one alone, or write and wait"
        raise FieldError("min_sequence", reason)
    service: Service = request.app.state.service
    collections = _named(request, body.collections)
    note(request, collection=[one.name for one in collections])
    with ExitStack() as leases:
        found = {one.name: leases.enter_context(one.lease()) for one in collections}
        snapshots = {name: one.snapshot for name, one in found.items()}
        check_comparable("collections", snapshots, reads=isinstance(body, AnswerRequest))
        yield Asked(found, service.several)


def _named(request: Request, names: list[str]) -> list[Collection]:
    """Return the collections ``names``. Raises FieldError for one that is not there, or there twice."""
    found: dict[str, Collection] = {}
    for place, name in enumerate(names):
        field = f"collections.{place}"
        try:
            one = collection_named(request, name)
        except FieldError as error:
            raise FieldError(field, error.reason) from error
        except HTTPException as error:
            if error.status_code != 404:
                raise
            raise FieldError(field, error.detail) from error
        if one.name in found:
            raise FieldError(field, f"{one.name!r} is there twice")
        found[one.name] = one
    return list(found.values())
