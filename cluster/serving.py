"""A cluster on Ray Serve: an ingress with our routes, and a deployment for every shard.

Placement, restarts and autoscaling are Serve's. ``application`` is what a Serve config file names as its
``import_path``; ``docs/cluster.md`` has one.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, get_args

import structlog
from fastapi import FastAPI
from prometheus_client import Counter
from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.serve.handle import DeploymentHandle

from lurcher.cluster.app import cluster_app
from lurcher.cluster.cluster_file import ClusterFile, check_bundles, read_cluster
from lurcher.cluster.hedging import Hedging, Outcome, first_reply
from lurcher.cluster.messages import Reply, Request
from lurcher.cluster.shard import Shard
from lurcher.errors import BundleError
from lurcher.models.engines import EngineName
from lurcher.server.settings import Settings

_log = structlog.get_logger()

# Of the application, among others on a cluster.
_NAME = "lurcher"
# Requests that a replica has at once; one is worked on, the others are there when it is done.
_ONGOING = 8
# Characters of an error in the log.
_SHOWN = 200
# Of the ingress, whose own queue says no in time.
_REQUESTS = 2_048


class ServeOptions(BaseModel):
    """How a cluster is served: the ``args`` of an application in a Serve config file.

    The cluster's folder has to be at one path on every node that serves a part of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cluster: Path = Field(description="The cluster.json, or its folder.")
    replicas: int = Field(1, ge=1, description="Replicas of every shard, at least.")
    max_replicas: int | None = Field(
        None, ge=1, description="Replicas of a shard, at most; if unset, their number is fixed."
    )
    ingresses: int = Field(1, ge=1, description="Replicas of the ingress.")
    shard_timeout_ms: int = Field(
        1_000, ge=1, description="Time that a shard has for one request; then it is left out."
    )
    shard_cpus: float = Field(1, gt=0, description="Cores that a replica of a shard reserves.")
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

    def __init__(self, options: dict[str, Any], number: int, fingerprint: str) -> None:
        """Open shard ``number``. Raises BundleError if it is not here, or of another version."""
        chosen = ServeOptions.model_validate(options)
        folder, cluster = _read(chosen.cluster)
        if cluster.fingerprint != fingerprint:
            reason = f"another version of the collection than {fingerprint}, which was deployed"
            raise BundleError(chosen.cluster, reason)
        self._shard = Shard(
            folder, cluster, number, max(1, int(chosen.shard_cpus)), chosen.engine, chosen.check_hashes
        )  # fmt: skip
        # A request that is cancelled while it waits for the thread is not worked on.
        self._thread = ThreadPoolExecutor(1, "shard")

    async def answer(self, request: Request) -> Reply:
        """As ``Shard.answer``."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._shard.answer, request)


class ServedShards:
    """Shards behind the handles of their deployments; make it in the event loop that serves requests."""

    def __init__(self, handles: list[DeploymentHandle], has_second: bool) -> None:
        """``has_second``: every shard has at least two replicas."""
        self._handles, self._has_second = handles, has_second
        self._loop = asyncio.get_running_loop()
        self.hedged = Counter(
            "lurcher_hedged_requests", "Requests to shards that were sent to a second replica.",
            ["reply"], registry=None,
        )  # fmt: skip
        for outcome in get_args(Outcome):
            self.hedged.labels(outcome)
        self._hedging = Hedging(lambda outcome: self.hedged.labels(outcome).inc())

    def ask(self, requests: Mapping[int, Request], seconds: float) -> Mapping[int, Reply]:
        """As ``Shards.ask``; where a replica fails or is slow, another is asked while there is time."""
        return asyncio.run_coroutine_threadsafe(self._ask(requests, seconds), self._loop).result()

    async def _ask(self, requests: Mapping[int, Request], seconds: float) -> dict[int, Reply]:
        until = self._hedging.clock() + seconds
        replies = await asyncio.gather(
            *(self._reply(number, request, until) for number, request in requests.items())
        )
        found = zip(requests, replies, strict=True)
        return {number: reply for number, reply in found if reply is not None}

    async def _reply(self, number: int, request: Request, until: float) -> Reply | None:
        def failed(task: asyncio.Task[Reply]) -> None:
            # Any error: of a replica that died or is at fault. What is asked changes nothing there.
            reason = "cancelled" if task.cancelled() else repr(task.exception())[:_SHOWN]
            _log.warning("a replica failed", shard=number, reason=reason)

        reply = await first_reply(
            partial(_sent, self._handles[number], request), until,
            (number, type(request.works[0])), self._hedging, has_second=self._has_second, failed=failed,
        )  # fmt: skip
        if reply is None and self._hedging.clock() >= until:
            _log.warning("a shard is late", shard=number)
        return reply


async def _sent(handle: DeploymentHandle, request: Request) -> Reply:
    """The reply to ``request``, of a replica that Serve chooses: of one that has less to do than others."""
    response = handle.answer.remote(request)
    try:
        reply: Reply = await response
    except asyncio.CancelledError:
        response.cancel()
        raise
    return reply


class Ingress:
    """A replica of what takes requests over HTTP, encodes their queries and asks the shards."""

    def __init__(self, options: dict[str, Any], *shards: DeploymentHandle) -> None:
        self._options, self._shards = ServeOptions.model_validate(options), list(shards)

    def __serve_build_asgi_app__(self) -> FastAPI:
        chosen = self._options
        folder, cluster = _read(chosen.cluster)
        given = {"engine": chosen.engine, "check_hashes": chosen.check_hashes, **chosen.settings}
        settings = Settings.model_validate(given)
        seconds = chosen.shard_timeout_ms / 1_000
        shards = ServedShards(self._shards, has_second=chosen.replicas > 1)
        app = cluster_app(folder, cluster, shards, seconds, settings)
        app.state.service.metrics.add(shards.hedged)
        return app


def application(options: ServeOptions) -> serve.Application:
    """The Serve application that ``options`` describe. Raises BundleError."""
    _, cluster = _read(options.cluster)
    plain = options.model_dump(mode="json")
    shards = [
        serve.deployment(ServedShard)
        .options(
            name=f"shard-{number:03}",
            max_ongoing_requests=_ONGOING,
            ray_actor_options={"num_cpus": options.shard_cpus},
            **_scale(options),
        )
        .bind(plain, number, cluster.fingerprint)
        for number in range(len(cluster.shards))
    ]
    ingress = serve.deployment(serve.ingress()(Ingress)).options(
        name="ingress", num_replicas=options.ingresses, max_ongoing_requests=_REQUESTS,
        ray_actor_options={"num_cpus": options.ingress_cpus},
    )  # fmt: skip
    return ingress.bind(plain, *shards)


def check_here(options: ServeOptions) -> None:
    """Raise BundleError unless this machine has all bundles of the cluster, and they fit."""
    check_bundles(*_read(options.cluster))


def serve_until_stopped(
    options: ServeOptions, host: str, port: int, say: Callable[[str], object]
) -> None:
    """Serve a cluster on the Ray that this process has joined, until SIGINT or SIGTERM; ``say`` where."""
    stopped = Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, lambda *_: stopped.set())
    serve.start(http_options={"host": host, "port": port}, proxy_location="HeadOnly")
    try:
        serve.run(application(options), name=_NAME)
        say(f"http://{host}:{port}: Ctrl-C stops")
        stopped.wait()
    finally:
        serve.delete(_NAME)


def _read(path: Path) -> tuple[Path, ClusterFile]:
    folder = path if path.is_dir() else path.parent
    return folder, read_cluster(path)


def _scale(options: ServeOptions) -> dict[str, Any]:
    """How many replicas a shard has."""
    if options.max_replicas is None:
        return {"num_replicas": options.replicas}
    scale = {"min_replicas": options.replicas, "max_replicas": options.max_replicas}
    return {"autoscaling_config": scale}
