"""``GET /v1/bundle``: the loaded bundle."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from lurcher.bundle.manifest import Manifest
from lurcher.bundle.token_store import TokenSettings
from lurcher.server.errors import responses
from lurcher.server.lookup import collection_of
from lurcher.server.schemas.bundle import BundleReply
from lurcher.server.serving import Serving
from lurcher.server.settings import Settings

router = APIRouter(tags=["bundle"])


@router.get("/bundle", responses=responses(503))
async def bundle(request: Request) -> BundleReply:
    """Describe the loaded bundle: its size, encoder, measured figures, and the limits on requests."""
    collection = collection_of(request)
    settings = collection.settings
    with collection.lease() as serving:
        return describe(serving, settings)


def describe(serving: Serving, settings: Settings) -> BundleReply:
    """Return what is told of the bundle in service."""
    manifest = serving.manifest
    return BundleReply(
        name=manifest.name,
        created=manifest.created,
        lurcher_version=manifest.lurcher_version,
        passages=serving.passages.count,
        bytes=sum(file.bytes for file in manifest.files.values()),
        encoder=None if manifest.encoder is None else manifest.encoder.model_dump(),
        engine=None
        if serving.engine is None
        else {"name": serving.engine.name, "reason": serving.engine.reason},
        build=manifest.build.model_dump(),
        figures=manifest.figures.model_dump(),
        lexical=None if manifest.lexical is None else manifest.lexical.model_dump(),
        tokens=None if manifest.tokens is None else _tokens(manifest.tokens),
        ranker=None if manifest.ranker is None else manifest.ranker.model_dump(),
        states=None if manifest.states is None else manifest.states.model_dump(exclude={"ranker"}),
        reader=None if manifest.reader is None else manifest.reader.model_dump(),
        reading=_reading(manifest),
        filter_fields=serving.passages.fields,
        feedback=settings.feedback is not None,
        limits={
            "top_k": settings.max_top_k,
            "queries": settings.max_queries,
            "hits": settings.max_hits,
            "candidates": settings.max_candidates,
            "ranked": settings.max_ranked,
            "read_depth": settings.max_read_depth,
            "query_chars": settings.max_query_chars,
            "body_bytes": settings.max_body_bytes,
            "timeout_ms": settings.timeout_ms,
        },
    )


def _tokens(store: TokenSettings) -> dict[str, Any]:
    bytes_per_token = round(store.bytes / max(1, store.tokens), 2)
    return {**store.model_dump(exclude={"encoder"}), "bytes_per_token": bytes_per_token}


def _reading(manifest: Manifest) -> dict[str, Any] | None:
    store, tokens = manifest.reading, manifest.tokens
    if store is None or tokens is None:
        return None
    bytes_per_token = round(store.bytes / max(1, tokens.tokens), 2)
    return {**store.model_dump(exclude={"encoder"}), "bytes_per_token": bytes_per_token}
