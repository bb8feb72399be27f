"""A server process: one application on one socket, until it is told to stop."""

from __future__ import annotations

import errno
import logging
import signal
from collections.abc import Callable
from socket import AF_INET, AF_INET6, create_server, socket
from threading import Thread

import structlog
import uvicorn

from lurcher.models.errors import FieldError
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
    """Serve until SIGINT or SIGTERM, then finish what was started. Call it in the main thread.

    ``visit`` is called in a thread of its own with the server's URL once the port is open; the server
    stops when it returns False. Raises FieldError where the port is taken, what ``visit`` raised, or
    BundleError or ModelError where the bundle cannot be loaded.
    """
    logs.configure(settings)
    # Requests are logged by our own middleware; uvicorn's start-up chatter would be a second format.
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
    # uvicorn hands the signal on once it has stopped, and a stop that was asked for is no failure.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, server.handle_exit)
    server.run([_listen(settings.host, settings.port)])
    if failures:
        raise failures[0]


def _listen(host: str, port: int) -> socket:
    """A socket that listens on ``host`` and ``port``. Raises FieldError."""
    try:
        return create_server((host, port), family=AF_INET6 if ":" in host else AF_INET)
    except OSError as error:
        field = "port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "host"
        raise FieldError(field, error.strerror or str(error)) from error


class _Server(uvicorn.Server):
    """A uvicorn server that says where it listens, which with port 0 nobody knows before."""

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
        except Exception as error:  # for serve to raise: here it would end a thread, no more
            self._give_up(error)
