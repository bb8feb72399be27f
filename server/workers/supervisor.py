"""Starts the workers of a server, starts those again that end, passes signals on, and ends them all.

::

    start   the first, which writes if one does ── ready ── the others ── ready ── "listening"
    end     SIGTERM to the others ── ended ── SIGTERM to the one that writes

One socket is bound here and handed to all, so whichever is free accepts a connection. This process loads no
model and answers nothing.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from socket import socket
from tempfile import mkdtemp
from time import monotonic

import structlog
from prometheus_client.multiprocess import mark_process_dead

from lurcher.errors import LurcherError
from lurcher.server.metrics import FOLDER
from lurcher.server.settings import Settings
from lurcher.server.workers.seen import Seen
from lurcher.server.workers.setup import METRICS, Setup, Told, share_of, someone_writes

_log = structlog.get_logger()

# A worker that ends is started again after so many seconds, twice as many each time that it does not last.
_SHORTEST, _LONGEST = 0.5, 30.0
_LASTS = 60.0  # seconds
_STARTS = 5  # in a row that fail, and the server ends
_ENDS_WITHIN = 10.0  # seconds more than requests have; then it is killed

# `-m` would look for lurcher in the current folder first, which may be anybody's.
_RUN = "import sys; sys.path[:] = {path!r}; from lurcher.server.workers.worker import main; main()"


class WorkerFailed(LurcherError):
    """A worker cannot start."""


@dataclass(slots=True, eq=False)
class _Worker:
    """A process, or a place for the next one.

    ready   since when it answers; None: it does not yet
    due     when to start it again, while there is no process
    """

    number: int
    process: subprocess.Popen[str] | None = None
    telling: int = -1
    heard: bytes = b""
    error: str | None = None
    ready: float | None = None
    due: float = 0.0
    failures: int = 0


@dataclass(slots=True, eq=False)
class _Signals:
    """Signals, as bytes of a pipe that can be waited for."""

    reading: int = -1
    writing: int = -1
    before: dict[int, object] = field(default_factory=dict)

    def __enter__(self) -> _Signals:
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.writing, False)
        os.set_blocking(self.reading, False)
        signal.set_wakeup_fd(self.writing, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.before[number] = signal.signal(number, _noted)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in self.before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what `signal` gave
        os.close(self.reading)
        os.close(self.writing)


def _noted(*_: object) -> None:
    pass


def supervise(settings: Settings, listening: list[socket], url: str) -> None:
    """Serve the sockets ``listening`` with the workers that ``settings`` want, until SIGINT or SIGTERM.

    SIGHUP is passed on. Call it in the main thread. Raises WorkerFailed if one cannot start.
    """
    folder = Path(mkdtemp(prefix="lurcher-"))
    try:
        (folder / METRICS).mkdir()
        with _Signals() as signals:
            supervisor = _Supervisor(settings, listening, url, folder)
            try:
                supervisor.run(signals.reading)
            finally:
                supervisor.end()
    finally:
        rmtree(folder, ignore_errors=True)


class _Supervisor:
    def __init__(self, settings: Settings, listening: list[socket], url: str, folder: Path) -> None:
        self._settings, self._listening, self._url = settings, listening, url
        self._folder = folder
        self._workers = [_Worker(number) for number in range(settings.workers)]
        self._has_writer = someone_writes(settings)
        self._announced = False
        self._engine: str | None = None

    def run(self, signals: int) -> None:
        """Keep the workers running until a signal says to end. Raises WorkerFailed."""
        _log.info("opening the bundle", url=self._url, workers=len(self._workers))
        while True:
            self._start_due()
            pipes = [one.telling for one in self._workers if one.process is not None]
            ready, _, _ = select.select([signals, *pipes], [], [], self._seconds_idle())
            if signals in ready and self._is_to_end(os.read(signals, 100)):
                return
            for worker in self._workers:
                if worker.process is not None and worker.telling in ready:
                    self._hear(worker)

    def _is_to_end(self, numbers: bytes) -> bool:
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            return True
        if signal.SIGHUP in numbers:
            for worker in self._workers:
                _send(worker, signal.SIGHUP)
        return False

    def _start_due(self) -> None:
        """Start what is to be started now: the first, until that has been ready, then the others."""
        first = self._workers[0]
        may = self._workers if self._announced or first.ready else [first]
        for worker in may:
            if worker.process is None and worker.due <= monotonic():
                self._start(worker)

    def _seconds_idle(self) -> float | None:
        due = [one.due for one in self._workers if one.process is None and one.due]
        return max(0.0, min(due) - monotonic()) if due else None

    def _start(self, worker: _Worker) -> None:
        worker.telling, writing = os.pipe()
        listening = [one.fileno() for one in self._listening]
        settings = share_of(self._settings, worker.number, self._engine).model_dump(mode="json")
        setup = Setup(
            worker.number, self._settings.workers, settings, listening, writing, str(self._folder),
            self._announced or worker is not self._workers[0],
        )  # fmt: skip
        try:
            worker.process = subprocess.Popen(
                [sys.executable, "-c", _RUN.format(path=sys.path)], stdin=subprocess.PIPE, text=True,
                pass_fds=(*listening, writing), env=os.environ | {FOLDER: str(self._folder / METRICS)},
                process_group=0,  # Ctrl-C is for this process, which ends the others in their order
            )  # fmt: skip
        finally:
            os.close(writing)
        worker.heard, worker.error, worker.ready = b"", None, None
        assert worker.process.stdin is not None  # noqa: S101 (a pipe)
        with suppress(BrokenPipeError):
            worker.process.stdin.write(setup.line())
            worker.process.stdin.flush()

    def _hear(self, worker: _Worker) -> None:
        """Take in what ``worker`` tells, or that it has ended. Raises WorkerFailed."""
        heard = os.read(worker.telling, 65_536)
        if not heard:
            self._has_ended(worker)
            return
        *lines, worker.heard = (worker.heard + heard).split(b"\n")
        for line in lines:
            told = Told.of(line.decode())
            worker.error, self._engine = told.error, self._engine or told.engine
            if worker.error is None:
                worker.ready = monotonic()
                _log.info("a worker is ready", number=worker.number)
        if not self._announced and all(one.ready for one in self._workers):
            self._announced = True
            _log.info("listening", url=self._url, workers=len(self._workers))

    def _has_ended(self, worker: _Worker) -> None:
        """Have ``worker`` started again. Raises WorkerFailed where that does not help."""
        assert worker.process is not None  # noqa: S101 (it was heard)
        status = worker.process.wait()
        self._forget(worker)
        lasted = worker.ready is not None and monotonic() - worker.ready >= _LASTS
        worker.failures = 1 if lasted else worker.failures + 1
        if worker.ready is None and (not self._announced or worker.failures >= _STARTS):
            raise WorkerFailed(worker.error or f"a worker {_how(status)} before it was ready")
        pause = min(_LONGEST, _SHORTEST * 2 ** (worker.failures - 1))
        worker.due = monotonic() + pause
        _log.error(
            "a worker has ended; it is started again", number=worker.number, how=_how(status),
            seconds=pause, reason=worker.error,
        )  # fmt: skip

    def _forget(self, worker: _Worker) -> None:
        process = worker.process
        assert process is not None  # noqa: S101 (it has just ended)
        os.close(worker.telling)
        if process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.close()
        mark_process_dead(process.pid, str(self._folder / METRICS))  # type: ignore[no-untyped-call]  # theirs
        Seen(self._folder, self._settings.workers).forget(worker.number)
        worker.process = None

    def end(self) -> None:
        """End all workers: first those that may pass something on to the one that writes."""
        for one in self._listening:
            one.close()
        first, *others = self._workers
        groups = [others, [first]] if self._has_writer else [self._workers]
        for group in groups:
            for worker in group:
                _send(worker, signal.SIGTERM)
            deadline = monotonic() + self._settings.shutdown_seconds + _ENDS_WITHIN
            for worker in group:
                if worker.process is not None:
                    try:
                        worker.process.wait(max(0.0, deadline - monotonic()))
                    except subprocess.TimeoutExpired:
                        _log.error("a worker does not end; it is killed", number=worker.number)
                        worker.process.kill()
                        worker.process.wait()
                    self._forget(worker)


def _send(worker: _Worker, number: int) -> None:
    if worker.process is not None:
        worker.process.send_signal(number)


def _how(status: int) -> str:
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with {status}"
