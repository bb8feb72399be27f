"""A server process: one application on one socket, until it is stopped."""

from __future__ import annotations

import asyncio
import errno
import faulthandler
import gc
import logging
import signal
from collections.abc import Callable, Sequence
from socket import AF_INET, AF_INET6, create_server, has_dualstack_ipv6, socket
from threading import Thread

import structlog
import uvicorn
from fastapi import FastAPI

from lurcher.errors import FieldError
from lurcher.server import logs
from lurcher.server.app import create_app
from lurcher.server.descriptors import room_for
from lurcher.server.edge import Limits, edge
from lurcher.server.hosts import LOOPBACK_NAME, is_loopback
from lurcher.server.opening import OpenSnapshot
from lurcher.server.settings import Settings
from lurcher.server.workers.supervisor import supervise

_log = structlog.get_logger()

# That the last lines of the log have to be written.
LOG_SECONDS = 5.0


def serve(
    settings: Settings,
    visit: Callable[[str], bool] | None = None,
    open_snapshot: OpenSnapshot | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Serve until SIGINT or SIGTERM, then finish the requests in progress. Call it in the main thread.

    SIGHUP reads keys and collections again. Once the bundle is open, ``visit`` is called in its own thread
    with the server's URL; if it returns False, the server stops. ``notes`` are logged as warnings. Raises
    FieldError if the port is taken, BundleError or ModelError if the bundle cannot be loaded, and whatever
    ``visit`` raises.

    Several ``workers`` are processes that open a snapshot each. Then there is no ``visit``, SIGHUP is passed
    on to them, and WorkerFailed is raised if one cannot start.
    """
    # A bug in native code, or a file of the bundle cut short while it is mapped, says where.
    faulthandler.enable()
    log = logs.configure(settings)
    try:
        _serve(settings, visit, open_snapshot, notes)
    finally:
        log.close(LOG_SECONDS)


def _serve(
    settings: Settings, visit: Callable[[str], bool] | None, open_snapshot: OpenSnapshot | None,
    notes: Sequence[str],
) -> None:  # fmt: skip
    for note in notes:
        _log.warning(note)
    # Our middleware logs requests; uvicorn's messages would be a second format.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    listening = _sockets(settings)
    if settings.workers > 1:
        supervise(settings, listening, _url_of(listening[0]))
        return
    failures: list[Exception] = []

    def give_up(error: Exception) -> None:
        failures.append(error)
        server.should_exit = True

    app = create_app(settings, give_up, open_snapshot, lambda: server.opened())
    server = _Server(config_of(app, settings), visit, give_up, app.state.service.reload)
    # uvicorn raises the signal again after it has stopped, but a requested stop is no failure.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, server.handle_exit)
    if hasattr(signal, "SIGHUP"):  # Windows has none; until there is a loop that could reload
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    server.run(listening)
    if failures:
        raise failures[0]


def config_of(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How uvicorn serves ``app``."""
    return uvicorn.Config(
        app,
        http=edge(_limits(settings), app.state.service.metrics.refuse),
        ws="none",  # no route speaks it, and its protocol would be without the limits
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=settings.shutdown_seconds,
        timeout_keep_alive=settings.keep_alive_seconds,
        server_header=False,
    )


def _limits(settings: Settings) -> Limits:
    """The limits of connections; a page of another site must not reach a server on this machine alone."""
    hosts = {name.lower() for name in settings.allowed_hosts}
    if not hosts and is_loopback(settings.host):
        hosts = {LOOPBACK_NAME}
    any_name = not hosts or "*" in hosts
    connections = room_for(settings.max_connections)
    if connections < settings.max_connections:
        reason = "the limit of open files (ulimit -n) leaves room for no more"
        _log.warning("fewer connections", most=connections, reason=reason)
    return Limits(
        connections, settings.max_header_bytes, settings.read_seconds,
        settings.write_seconds, None if any_name else hosts,
    )  # fmt: skip


def _sockets(settings: Settings) -> list[socket]:
    """Return what listens on the port, and on that of metrics if there is another. Raises FieldError."""
    found = [_listen(settings.host, settings.port, "port")]
    if settings.metrics_port is not None:
        found.append(_listen(settings.host, settings.metrics_port, "metrics_port"))
    return found


def _listen(host: str, port: int, setting: str) -> socket:
    """Return a socket that listens on ``host`` and ``port``; ``::`` takes IPv4, too. Raises FieldError."""
    try:
        family = AF_INET6 if ":" in host else AF_INET
        both = host == "::" and has_dualstack_ipv6()
        return create_server((host, port), family=family, dualstack_ipv6=both)
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise FieldError(setting, error.strerror or str(error)) from error
        raise FieldError("host", f"{host!r}: {error.strerror or error}") from error


def _url_of(listening: socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """A uvicorn server that logs where it listens, known only then with port 0, once it can answer."""

    def __init__(
        self,
        config: uvicorn.Config,
        visit: Callable[[str], bool] | None,
        give_up: Callable[[Exception], None],
        reload: Callable[[], object],
    ) -> None:
        super().__init__(config)
        self._reload = reload
        self._visit = visit
        self._give_up = give_up
        self._url: str | None = None
        self._opened = False

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        if hasattr(signal, "SIGHUP"):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload)
        self._url = _url_of(self.servers[0].sockets[0])
        if self._opened:
            self._announce(self._url)
        else:
            _log.info("opening the bundle", url=self._url)

    def opened(self) -> None:
        """Take note that the bundle is open; call it in the event loop's thread."""
        # What was loaded stays. A full collection would look at all of it and stop searches for 40 ms.
        gc.collect()
        gc.freeze()
        self._opened = True
        if self._url is not None:
            self._announce(self._url)

    def _announce(self, url: str) -> None:
        _log.info("listening", url=url)
        if self._visit is not None:
            Thread(target=self._show, args=(self._visit, url), daemon=True).start()

    def _show(self, visit: Callable[[str], bool], url: str) -> None:
        try:
            if not visit(url):
                self.should_exit = True
        except Exception as error:  # `serve` raises it; here it would only end the thread
            self._give_up(error)
