"""A server process: one application on one socket, until it is stopped."""

from __future__ import annotations

import errno
import logging
import signal
from collections.abc import Callable
from socket import AF_INET, AF_INET6, create_server, socket
from threading import Thread

import structlog
import uvicorn

from lurcher.errors import FieldError
from lurcher.retrieval.snapshot import Snapshot
from lurcher.server import logs
from lurcher.server.app import create_app
from lurcher.server.serving import OpenSnapshot
from lurcher.server.settings import Settings

_log = structlog.get_logger()


def serve(
    settings: Settings,
    visit: Callable[[str], bool] | None = None,
    open_snapshot: OpenSnapshot = Snapshot,
) -> None:
    """Serve until SIGINT or SIGTERM, then finish the requests in progress. Call it in the main thread.

    Once the port is open, ``visit`` is called in its own thread with the server's URL; if it returns
    False, the server stops. Raises FieldError if the port is taken, BundleError or ModelError if the
    bundle cannot be loaded, and whatever ``visit`` raises.
    """
    logs.configure(settings)
    # Our middleware logs requests; uvicorn's messages would be a second format.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    failures: list[Exception] = []

    def give_up(error: Exception) -> None:
        failures.append(error)
        server.should_exit = True

    config = uvicorn.Config(
        create_app(settings, give_up, open_snapshot),
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=settings.shutdown_seconds,
        server_header=False,
    )
    server = _Server(config, visit, give_up)
    # uvicorn raises the signal again after it has stopped, but a requested stop is no failure.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, server.handle_exit)
    server.run([_listen(settings.host, settings.port)])
    if failures:
        raise failures[0]


def _listen(host: str, port: int) -> socket:
    """Return a socket that listens on ``host`` and ``port``. Raises FieldError."""
    try:
        return create_server((host, port), family=AF_INET6 if ":" in host else AF_INET)
    except OSError as error:
        field = "port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "host"
        raise FieldError(field, error.strerror or str(error)) from error


class _Server(uvicorn.Server):
    """A uvicorn server that logs where it listens, which with port 0 is not known before."""

    def __init__(
        self,
        config: uvicorn.Config,
        visit: Callable[[str], bool] | None,
        give_up: Callable[[Exception], None],
    ) -> None:
        super().__init__(config)
        self._visit = visit
        self._give_up = give_up

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        _log.info("listening", url=url)
        if self._visit is not None:
            Thread(target=self._show, args=(self._visit, url), daemon=True).start()

    def _show(self, visit: Callable[[str], bool], url: str) -> None:
        try:
            if not visit(url):
                self.should_exit = True
        except Exception as error:  # `serve` raises it; here it would only end the thread
            self._give_up(error)
