"""A server process: one application on one socket, until it is told to stop."""

from __future__ import annotations

import logging
from collections.abc import Callable
from socket import socket
from threading import Thread

import structlog
import uvicorn

from models.errors import LurcherError
from server import logs
from server.app import create_app
from server.settings import Settings

_log = structlog.get_logger()


def serve(settings: Settings, visit: Callable[[str], bool] | None = None) -> None:
    """Serve until SIGINT or SIGTERM, then finish what was started.

    ``visit`` is called in a thread of its own with the server's URL once the port is open; the server
    stops when it returns False. Raises LurcherError where the bundle cannot be loaded.
    """
    logs.configure(settings)
    # Requests are logged by our own middleware; uvicorn's start-up chatter would be a second format.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    failures: list[LurcherError] = []

    def give_up(error: LurcherError) -> None:
        failures.append(error)
        server.should_exit = True

    config = uvicorn.Config(
        create_app(settings, give_up),
        host=settings.host,
        port=settings.port,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=settings.shutdown_seconds,
        server_header=False,
    )
    server = _Server(config, visit)
    server.run()
    if failures:
        raise failures[0]


class _Server(uvicorn.Server):
    """A uvicorn server that says where it listens, which with port 0 nobody knows before."""

    def __init__(self, config: uvicorn.Config, visit: Callable[[str], bool] | None) -> None:
        super().__init__(config)
        self._visit = visit

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        if self.should_exit:  # the port is taken; uvicorn has said so
            return
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        _log.info("listening", url=url)
        if self._visit is not None:
            Thread(target=self._show, args=(self._visit, url), daemon=True).start()

    def _show(self, visit: Callable[[str], bool], url: str) -> None:
        try:
            stay = visit(url)
        except Exception:
            self.should_exit = True
            raise
        self.should_exit = not stay
