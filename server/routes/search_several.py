"""The part of ``POST /v1/search`` that asks several collections at once."""

from __future__ import annotations

from contextlib import ExitStack
from time import perf_counter

from fastapi import Request, Response
from starlette.exceptions import HTTPException

from lurcher.errors import FieldError
from lurcher.retrieval.query import check_text
from lurcher.retrieval.several import check_same_encoder
from lurcher.server.collection import Collection
from lurcher.server.found_hits import as_json, plain_hit
from lurcher.server.keys import caller_of
from lurcher.server.lookup import collection_named
from lurcher.server.noted import note
from lurcher.server.replies import JSON, server_timing, timings
from lurcher.server.schemas.search import SearchRequest
from lurcher.server.search_options import check_sums, options_of, query_of
from lurcher.server.service import Service


async def search_several(body: SearchRequest, names: list[str], request: Request) -> Response:
    """Search the collections ``names`` with one query, and return the best hits of all."""
    start = perf_counter()
    service: Service = request.app.state.service
    settings = service.settings
    if "collection" in request.path_params:
        raise FieldError("collections", "this route searches the one that its path names")
    if body.min_sequence is not None:
        reason = "counts the writes of one collection; search that one alone, or write and wait"
        raise FieldError("min_sequence", reason)
    collections = _named(request, names)
    note(request, collection=[one.name for one in collections])
    check_text("query", body.query, settings.max_query_chars)
    with ExitStack() as leases:
        servings = {one.name: leases.enter_context(one.lease()) for one in collections}
        first, *_ = servings.values()
        options = options_of(body, first, settings, len(servings))
        check_sums("collections", len(servings), body, options, first, settings)
        check_same_encoder("collections", {name: one.snapshot for name, one in servings.items()})
        result, waited = await service.several.search(
            query_of(body.query, body, options), servings, body.timeout_ms, caller_of(request),
            degrade=body.degrade,
        )  # fmt: skip
        whole = result.whole
        spent = timings(request, whole, waited, start)
        reply = {
            "hits": [
                {"collection": name, **plain_hit(hit, body.include, body.fold)}
                for name, hit in result.hits
            ],
            "timings_ms": spent,
            "collections": {name: one.bundle for name, one in servings.items()},
            "truncated": whole.truncated,
            "question": whole.question,
            "degraded": whole.degraded,
        }
    return Response(as_json(reply), headers=server_timing(spent), media_type=JSON)


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
