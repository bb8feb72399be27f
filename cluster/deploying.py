"""Serving a cluster until it is stopped, and going over to its next version without losing a request.

The shards of the next version are started beside those that serve. When all are there, Serve replaces the
ingresses, each of which asks shards of one version: a new one first, then an old one goes when it has
answered. When the last has gone, so do the old shards.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from threading import Event
from time import sleep

from ray import serve

from lurcher.cluster.serving import ServeOptions, check_here, ingress, read, shards
from lurcher.errors import LurcherError

_INGRESS, _SHARDS = "lurcher", "lurcher-shards-"
_LOOK_SECONDS = 0.2


def serve_until_stopped(
    options: ServeOptions, host: str, port: int, say: Callable[[str], object]
) -> None:
    """Serve a cluster on the Ray that this process has joined, until SIGINT or SIGTERM; ``say`` where.

    SIGHUP goes over to what is at ``options.cluster`` then, which may be a link. Should that fail, what was
    there stays, and ``say`` is told why.
    """
    again = Event()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):  # Windows has none
        signal.signal(signal.SIGHUP, lambda *_: again.set())
    serve.start(http_options={"host": host, "port": port}, proxy_location="HeadOnly")
    try:
        served = deploy(options)
        say(f"http://{host}:{port}: Ctrl-C stops")
        while True:
            again.wait()
            again.clear()
            try:
                served = deploy(options, served)
                say(f"{served.cluster} is served")
            except LurcherError as error:
                say(f"{served.cluster} is still served: {error}")
    except KeyboardInterrupt:
        pass
    finally:
        for name in (_INGRESS, *_shards()):
            serve.delete(name)


def deploy(options: ServeOptions, served: ServeOptions | None = None) -> ServeOptions:
    """Serve what is at ``options.cluster`` in place of what is ``served``; its options, when it is so.

    Raises LurcherError; then what was served still is.
    """
    cluster = options.cluster.resolve()
    _, file = read(cluster)
    name = f"{_SHARDS}{file.fingerprint}"
    if served is not None and served.shards == name:
        return served
    options = options.model_copy(update={"cluster": cluster, "shards": name})
    check_here(options)
    starting = name
    try:
        serve.run(shards(options), name=name, route_prefix=None)
        starting = _INGRESS
        serve.run(ingress(options), name=_INGRESS)
    except RuntimeError as error:
        why = _failure(starting) or str(error)
        if served is not None and starting == _INGRESS:
            serve.run(ingress(served), name=_INGRESS)
        serve.delete(name)
        raise LurcherError(f"{cluster} cannot be served: {why}") from error
    _wait_for_old_ingresses()
    for old in _shards():
        if old != name:
            serve.delete(old)
    return options


def _shards() -> list[str]:
    """The applications of shards."""
    return [name for name in serve.status().applications if name.startswith(_SHARDS)]


def _failure(application: str) -> str:
    """The last lines of why deployments of ``application`` failed, which are their replicas' errors."""
    deployments = serve.status().applications[application].deployments.values()
    failed = [one.message.strip() for one in deployments if one.status == "DEPLOY_FAILED"]
    return "; ".join(message.splitlines()[-1] for message in failed if message)


def _wait_for_old_ingresses() -> None:
    """Return when no ingress is stopping: one that is may still ask shards."""
    while True:
        ingresses = serve.status().applications[_INGRESS].deployments["ingress"]
        if set(ingresses.replica_states) == {"RUNNING"}:
            return
        sleep(_LOOK_SECONDS)
