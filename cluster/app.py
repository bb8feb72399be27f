"""The HTTP side of a cluster: the server's application with those routes that shards can answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from fastapi import APIRouter, Depends, FastAPI, Request
from pydantic import BaseModel, Field

from lurcher.bundle.bundle import Bundle
from lurcher.cluster.asking import Shards
from lurcher.cluster.cluster_file import ClusterFile, check_bundle
from lurcher.cluster.coordinator import Coordinator
from lurcher.models.engines import EngineName
from lurcher.server import errors, keys
from lurcher.server.app import create_app, mount_metrics
from lurcher.server.lookup import NATIVE, collection_of, of_default
from lurcher.server.routes import answer, health, search
from lurcher.server.routes.bundle import describe
from lurcher.server.schemas.bundle import BundleReply
from lurcher.server.settings import Settings


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
    on_failure: Callable[[Exception], None] | None = None, on_ready: Callable[[], None] | None = None,
) -> FastAPI:  # fmt: skip
    """The application that searches ``cluster``, whose coordinator is in ``folder``, by ``shards``.

    Each has ``shard_seconds`` for one request. Of ``settings``, those about what is served do not count.
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

    return create_app(settings, on_failure, open_snapshot, on_ready, mount=partial(_mount, cluster))


def _mount(cluster: ClusterFile, app: FastAPI, settings: Settings) -> None:
    """Add the routes of searches and answers, of what is known of the collection, and for operators."""
    reads = keys.to("read", settings)
    refusals = errors.responses(401, 403) if reads else {}
    for router in (search.router, answer.router):
        app.include_router(router, prefix=NATIVE, dependencies=reads, responses=refusals)
    of_all = [*reads, Depends(of_default)] if reads else []
    app.include_router(_about(cluster), prefix=NATIVE, dependencies=of_all, responses=refusals)
    app.include_router(health.router)
    mount_metrics(app, settings)


def _about(cluster: ClusterFile) -> APIRouter:
    """``GET /v1/bundle`` of all shards together."""
    router = APIRouter(tags=["bundle"])

    @router.get("/bundle", responses=errors.responses(503))
    async def bundle(request: Request) -> ClusterReply:
        """Describe the collection: its size, shards, encoder, and the limits on requests."""
        collection = collection_of(request)
        with collection.lease() as serving:
            about = describe(serving, collection.settings).model_dump()
        shards = [ShardReply(passages=one.passages, bytes=one.bytes) for one in cluster.shards]
        about |= {
            "name": cluster.name, "passages": cluster.passages,
            "bytes": about["bytes"] + sum(one.bytes for one in shards),
        }  # fmt: skip
        return ClusterReply(**about, fingerprint=cluster.fingerprint, shards=shards)

    return router
