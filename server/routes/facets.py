"""``GET /v1/facets``: which values metadata has, and in how many passages."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request

from lurcher.retrieval.filters import parse_filter
from lurcher.server.errors import responses
from lurcher.server.lookup import collection_of
from lurcher.server.schemas.facets import FacetQuery, FacetsReply, FacetValue, FieldFacet

router = APIRouter(tags=["passages"])


@router.get("/facets", responses=responses(422, 503))
async def facets(asked: Annotated[FacetQuery, Query()], request: Request) -> FacetsReply:
    """Count the values of metadata fields over all passages, or all that meet a filter; exactly."""
    collection = collection_of(request)
    tests = parse_filter(asked.filter or "{}")
    with collection.lease() as serving:
        total, found = await asyncio.to_thread(
            serving.contents.facets, asked.field, asked.limit, tests
        )
        name = serving.bundle
    return FacetsReply(
        facets=[
            FieldFacet(
                field=field, distinct=one.distinct, passages=one.passages,
                values=[FacetValue(value=value, count=many) for value, many in one.values],
            )
            for field, one in zip(asked.field, found, strict=True)
        ],
        passages=total, bundle=name,
    )  # fmt: skip
