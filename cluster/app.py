"""The HTTP side of a cluster: the server's application with those routes that shards can answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from pydantic import BaseModel, Field

from lurcher.bundle.bundle import Bundle
from lurcher.cluster.asking import Shards
from lurcher.cluster.cluster_file import ClusterFile, check_bundle
from lurcher.cluster.coordinator import Coordinator
from lurcher.cluster.writing import ClusterWrites, Writers
from lurcher.models.engines import EngineName
from lurcher.server import errors
from lurcher.server.app import create_app, mount_routes
from lurcher.server.lookup import collection_of
from lurcher.server.protocols.cohere import rerank
from lurcher.server.routes import admin, collections, feedback
from lurcher.server.routes.bundle import describe
from lurcher.server.schemas.bundle import BundleReply
from lurcher.server.service import Service
from lurcher.server.settings import Settings

# Routes that shards cannot answer, or that are about which collections there are.
_OF_ONE_BUNDLE = (
    rerank.router, feedback.reading, feedback.writing, collections.router, admin.router,
)  # fmt: skip


class ShardReply(BaseModel):
    """One shard."""

    passages: int
    bytes: int


class ClusterReply(BundleReply):
    """The collection as a whole."""

    fingerprint: str = Field(
        description="Of this version of the collection; shards of another are not asked."
    )
    shards: list[ShardReply] = Field(description="By number.")


def cluster_app(
    folder: Path, cluster: ClusterFile, shards: Shards, shard_seconds: float, settings: Settings,
    writers: Writers | None = None, on_failure: Callable[[Exception], None] | None = None,
    on_ready: Callable[[], None] | None = None,
) -> FastAPI:  # fmt: skip
    """The application that searches ``cluster``, whose coordinator is in ``folder``, by ``shards``.

    Each has ``shard_seconds`` for one request. ``writers`` write, None: nothing does. Of
    ``settings``, those about what is served do not count.
    ``on_failure`` and ``on_ready`` are as in ``create_app``. Raises BundleError.
    """
    check_bundle(folder, cluster, cluster.coordinator)
    path = folder / cluster.coordinator.path
    served = {
        "bundle": [path], "collections": None, "writable": False, "follow_ms": 0, "workers": 1,
        "feedback": None,
    }  # fmt: skip
    settings = Settings.model_validate({**settings.model_dump(), **served})

    def open_snapshot(bundle: Bundle, threads: int, engine: EngineName) -> Coordinator:
        return Coordinator(bundle, cluster, shards, shard_seconds, threads, engine)

    mount = partial(mount_routes, without=_OF_ONE_BUNDLE, about=_about(cluster))
    app = create_app(settings, on_failure, open_snapshot, on_ready, mount=mount)
    if writers is not None:
        service: Service = app.state.service
        service.collections.default.write_by(ClusterWrites(cluster, writers))
    return app


def _about(cluster: ClusterFile) -> APIRouter:
    """``GET /v1/bundle`` of all shards together."""
    router = APIRouter(tags=["bundle"])

    @router.get("/bundle", responses=errors.responses(503))
    async def about_bundle(request: Request) -> ClusterReply:
        """Describe the collection: its size, shards, encoder, and the limits on requests."""
        collection = collection_of(request)
        with collection.lease() as serving:
            about = describe(serving, collection.settings).model_dump()
            count = await asyncio.to_thread(serving.contents.count)
        shards = [ShardReply(passages=one.passages, bytes=one.bytes) for one in cluster.shards]
        about |= {
            "name": cluster.name, "passages": count,
            "bytes": about["bytes"] + sum(one.bytes for one in shards),
        }  # fmt: skip
        return ClusterReply(**about, fingerprint=cluster.fingerprint, shards=shards)

    return router
