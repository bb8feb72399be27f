"""A cluster on Ray Serve: an application of shards, a deployment each, and one of an ingress with our routes.

Placement, restarts and autoscaling are Serve's. ``shards`` and ``ingress`` are what a Serve config file names
as ``import_path``; ``docs/cluster.md`` has one. They are two applications so that shards of two versions of a
collection can be there at once, while ingresses go over from one to the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.serve.config import RequestRouterConfig
from ray.serve.handle import DeploymentHandle

from lurcher.cluster.app import cluster_app
from lurcher.cluster.cluster_file import ClusterFile, check_bundles, read_cluster
from lurcher.cluster.messages import Reply, Request, ToWrite, Wrote
from lurcher.cluster.routing import SameReplica
from lurcher.cluster.served_shards import ServedShards, ServedWriters
from lurcher.cluster.shard import Shard
from lurcher.cluster.shard_writer import ShardWriter
from lurcher.errors import BundleError, FieldError
from lurcher.models.engines import EngineName
from lurcher.server.settings import Settings

# Requests that a replica has at once; one is worked on, the others are there when it is done.
_ONGOING = 8
# Writes that a writer has at once, whose own queue says no in time.
_WRITES = 1_024
# Seconds between two looks at what was written, if nobody searches.
_FOLLOW_SECONDS = 0.5
# Seconds for the process that wrote a shard before to end.
_HAND_OVER = 15.0
# Of the ingress, whose own queue says no in time.
_REQUESTS = 2_048
# Of the ingresses, as many again while they are replaced: an old one stops when a new one is ready.
_SURGE_PERCENT = 100


def _shard(number: int) -> str:
    return f"shard-{number:03}"


def _writer(number: int) -> str:
    return f"writer-{number:03}"


class ServeOptions(BaseModel):
    """How a cluster is served: the ``args`` of an application in a Serve config file.

    The cluster's folder has to be at one path on every node that serves a part of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cluster: Path = Field(description="The cluster.json, or its folder.")
    shards: str = Field(
        default="shards", description="Name of the application of the shards, for the ingress."
    )
    replicas: int = Field(1, ge=1, description="Replicas of every shard, at least.")
    max_replicas: int | None = Field(
        None, ge=1, description="Replicas of a shard, at most; if unset, their number is fixed."
    )
    ingresses: int = Field(1, ge=1, description="Replicas of the ingress.")
    shard_timeout_ms: int = Field(
        1_000, ge=1, description="Time that a shard has for one request; then it is left out."
    )
    writable: bool = Field(False, description="Take writes, by a writer for each shard.")
    shard_cpus: float = Field(
        1, gt=0, description="Cores that a replica of a shard reserves, and its writer."
    )
    ingress_cpus: float = Field(
        1, gt=0, description="Cores that a replica of the ingress reserves."
    )
    engine: EngineName = Field("auto", description="What runs the encoder, as in `lurcher serve`.")
    check_hashes: bool = Field(True, description="Check every file of a bundle before serving it.")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="Settings of `lurcher serve` for the ingress, such as read_keys."
    )  # fmt: skip


class ServedShard:
    """A replica of one shard."""

    def __init__(
        self, options: dict[str, Any], number: int, fingerprint: str, *_others: DeploymentHandle
    ) -> None:
        """Open shard ``number``. Raises BundleError if it is not here, or of another version.

        ``_others`` belong to the same application, of which one deployment has to hold all others.
        """
        chosen = ServeOptions.model_validate(options)
        folder, cluster = read(chosen.cluster, fingerprint)
        self._shard = Shard(
            folder, cluster, number, max(1, int(chosen.shard_cpus)), chosen.engine,
            chosen.check_hashes, serve.get_replica_context().replica_id.unique_id,
        )  # fmt: skip
        # A request that is cancelled while it waits for the thread is not worked on.
        self._thread = ThreadPoolExecutor(1, "shard")
        self._following = asyncio.get_running_loop().create_task(self._follow())

    async def _follow(self) -> None:
        """Follow what is written while nobody searches, so that the next search need not."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_FOLLOW_SECONDS)
            # Whatever it is: it fails again for the next search, which tells it.
            with suppress(Exception):
                await loop.run_in_executor(self._thread, self._shard.follow)

    async def answer(self, request: Request) -> Reply:
        """As ``Shard.answer``."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._shard.answer, request)


class ServedWriter:
    """The writer of one shard."""

    def __init__(self, options: dict[str, Any], number: int, fingerprint: str) -> None:
        self._opening = asyncio.get_running_loop().create_task(
            _opened_writer(options, number, fingerprint)
        )

    async def check_health(self) -> None:
        """Wait until it can write: before that, Serve sends nothing. Raises what prevented it."""
        await asyncio.shield(self._opening)

    async def answer(self, request: ToWrite) -> Wrote:
        """As ``ShardWriter.answer``."""
        return await (await self._opening).answer(request)

    async def __del__(self) -> None:
        """Write all to the disk; Serve calls it when no request is left."""
        await (await self._opening).stop()


async def _opened_writer(options: dict[str, Any], number: int, fingerprint: str) -> ShardWriter:
    """The writer of shard ``number``, once no other process writes it. Raises as ``ShardWriter``."""
    chosen = ServeOptions.model_validate(options)
    folder, cluster = read(chosen.cluster, fingerprint)
    settings = _settings(chosen)
    last = monotonic() + _HAND_OVER
    while True:
        try:
            return ShardWriter(folder, cluster, number, settings)
        except FieldError:
            if monotonic() > last:
                raise
        await asyncio.sleep(_FOLLOW_SECONDS)


class Ingress:
    """A replica of what takes requests over HTTP, encodes their queries and asks the shards."""

    def __init__(self, options: dict[str, Any], fingerprint: str) -> None:
        self._options, self._fingerprint = ServeOptions.model_validate(options), fingerprint
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __serve_build_asgi_app__(self) -> FastAPI:
        chosen = self._options
        folder, cluster = read(chosen.cluster, self._fingerprint)
        shards = ServedShards(handles(cluster, chosen.shards), has_second=chosen.replicas > 1)
        writers = None
        if chosen.writable:
            writers = ServedWriters(handles(cluster, chosen.shards, _writer))
        app = cluster_app(
            folder, cluster, shards, chosen.shard_timeout_ms / 1_000, _settings(chosen), writers,
            on_failure=self._ready.set_exception, on_ready=lambda: self._ready.set_result(None),
        )  # fmt: skip
        app.state.service.metrics.add(shards.hedged)
        return app

    async def check_health(self) -> None:
        """Wait until a query was encoded: before that, Serve sends no requests. Raises what prevented it."""
        await asyncio.shield(self._ready)


def shards(args: ServeOptions | dict[str, Any]) -> serve.Application:
    """The Serve application of the shards, which has no route. Raises BundleError.

    ``args`` are a dictionary where a config file has them.
    """
    options = ServeOptions.model_validate(args)
    _, cluster = read(options.cluster)
    plain, cpus = options.model_dump(mode="json"), {"num_cpus": options.shard_cpus}

    def bound(number: int, *others: serve.Application) -> serve.Application:
        deployment = serve.deployment(ServedShard).options(
            name=_shard(number), max_ongoing_requests=_ONGOING, ray_actor_options=cpus,
            request_router_config=RequestRouterConfig(request_router_class=SameReplica),
            **_scale(options),
        )  # fmt: skip
        return deployment.bind(plain, number, cluster.fingerprint, *others)

    def writing(number: int) -> serve.Application:
        deployment = serve.deployment(ServedWriter).options(
            name=_writer(number), max_ongoing_requests=_WRITES, ray_actor_options=cpus
        )
        return deployment.bind(plain, number, cluster.fingerprint)

    numbers = range(len(cluster.shards))
    writers = [writing(number) for number in numbers] if options.writable else []
    return bound(0, *(bound(number) for number in numbers[1:]), *writers)


def ingress(args: ServeOptions | dict[str, Any]) -> serve.Application:
    """The Serve application of the ingress, which asks that of the shards. Raises BundleError.

    ``args`` are a dictionary where a config file has them.
    """
    options = ServeOptions.model_validate(args)
    _, cluster = read(options.cluster)
    deployment = serve.deployment(serve.ingress()(Ingress)).options(
        name="ingress", num_replicas=options.ingresses, max_ongoing_requests=_REQUESTS,
        max_surge_percent=_SURGE_PERCENT, ray_actor_options={"num_cpus": options.ingress_cpus},
    )  # fmt: skip
    return deployment.bind(options.model_dump(mode="json"), cluster.fingerprint)


def handles(
    cluster: ClusterFile, application: str, name: Callable[[int], str] = _shard
) -> list[DeploymentHandle]:
    """What asks each shard of ``cluster``, or what else has such a ``name``, in a Serve ``application``."""
    return [
        serve.get_deployment_handle(name(number), application)
        for number in range(len(cluster.shards))
    ]


def check_here(options: ServeOptions) -> None:
    """Raise BundleError unless this machine has all bundles of the cluster, and they fit."""
    check_bundles(*read(options.cluster))


def read(path: Path, fingerprint: str | None = None) -> tuple[Path, ClusterFile]:
    """The folder of a cluster and its file. Raises BundleError, also if it is not that of ``fingerprint``."""
    folder = path if path.is_dir() else path.parent
    cluster = read_cluster(path)
    if fingerprint not in (None, cluster.fingerprint):
        reason = f"another version of the collection than {fingerprint}, which was deployed"
        raise BundleError(path, reason)
    return folder, cluster


def _settings(options: ServeOptions) -> Settings:
    """The settings of ``lurcher serve`` that count for a cluster."""
    given = {"engine": options.engine, "check_hashes": options.check_hashes, **options.settings}
    return Settings.model_validate(given)


def _scale(options: ServeOptions) -> dict[str, Any]:
    """How many replicas a shard has."""
    if options.max_replicas is None:
        return {"num_replicas": options.replicas}
    scale = {"min_replicas": options.replicas, "max_replicas": options.max_replicas}
    return {"autoscaling_config": scale}
