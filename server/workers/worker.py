"""One of several processes that serve a port; ``supervisor`` starts it and tells it how."""

from __future__ import annotations

import faulthandler
import gc
import logging
import os
import signal
import sys
from asyncio import BaseProtocol, get_running_loop
from contextlib import suppress
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM, socket
from threading import Thread

import uvicorn

from lurcher.errors import LurcherError
from lurcher.server import logs
from lurcher.server.app import create_app
from lurcher.server.run import LOG_SECONDS, config_of
from lurcher.server.service import Service
from lurcher.server.workers.setup import Setup, Told
from lurcher.server.workers.shared_times import SharedTimes


def main() -> None:
    """Serve as the line on standard input says, until a signal, or until that input ends with its process."""
    setup = Setup.of(sys.stdin.readline())
    faulthandler.enable()
    log = logs.configure(setup.own_settings, setup.number)
    try:
        error = _serve(setup)
    finally:
        log.close(LOG_SECONDS)
    sys.exit(0 if error is None else 1)


def _serve(setup: Setup) -> Exception | None:
    """Serve until the end; what kept it from starting."""
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    settings = setup.own_settings
    failures: list[Exception] = []

    def give_up(error: Exception) -> None:
        failures.append(error)
        _tell(setup, Told(_told(error)))
        server.should_exit = True

    try:
        app = create_app(
            settings, give_up, on_ready=lambda: server.opened(), link=setup.link,
            times=SharedTimes(Path(setup.folder)),
        )  # fmt: skip
        server = _Server(config_of(app, settings), setup)
    except LurcherError as error:
        _tell(setup, Told(_told(error)))
        return error
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, server.handle_exit)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is a loop that could reload
    Thread(target=_end_with_input, args=(server,), daemon=True).start()
    server.run([])
    return failures[0] if failures else None


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, LurcherError) else f"{type(error).__name__}: {error}"


def _tell(setup: Setup, told: Told) -> None:
    with suppress(OSError):  # whoever started it has ended
        os.write(setup.telling, told.line().encode())


def _end_with_input(server: _Server) -> None:
    """Stop ``server`` when the process that started it has ended, however that ended."""
    sys.stdin.read()
    server.should_exit = True


class _Server(uvicorn.Server):
    """A uvicorn server that listens on sockets of others, some of them only once it can answer."""

    def __init__(self, config: uvicorn.Config, setup: Setup) -> None:
        super().__init__(config)
        self._setup = setup

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        get_running_loop().add_signal_handler(signal.SIGHUP, self._service.reload)
        if not self._setup.waits:
            await self._listen()

    @property
    def _service(self) -> Service:
        found: Service = self.config.app.state.service  # type: ignore[union-attr]  # ours
        return found

    async def _listen(self) -> None:
        for file in self._setup.listening:
            server = await get_running_loop().create_server(
                self._protocol, sock=socket(fileno=file), backlog=self.config.backlog
            )
            self.servers.append(server)

    async def _listen_to_workers(self, path: Path) -> None:
        """Take what other workers pass on, at ``path``."""
        path.unlink(missing_ok=True)
        own = socket(AF_UNIX, SOCK_STREAM)
        own.bind(str(path))
        self.servers.append(
            await get_running_loop().create_unix_server(
                self._protocol, sock=own, backlog=self.config.backlog
            )
        )

    def _protocol(self) -> BaseProtocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn calls it
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    def opened(self) -> None:
        """Take note that the bundle is open; call it in the event loop's thread."""
        # What was loaded stays. A full collection would look at all of it and stop searches for 40 ms.
        gc.collect()
        gc.freeze()
        self._ready = get_running_loop().create_task(self._be_ready())

    async def _be_ready(self) -> None:
        link = self._setup.link
        if link is not None and link.writes:
            await self._listen_to_workers(link.writer)
        if self._setup.waits:
            await self._listen()
        engine = self._service.collections.default.models().engine
        _tell(self._setup, Told(engine=None if engine is None else engine.name))
