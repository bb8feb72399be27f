"""The audit log: who has written and administered what, a line of JSON for each request that tried to.

A line says when, which request, whose key (its name, never the key), on which collection, what was done, to
how many records, and what became of it. It holds no texts. A disk that is full stops nothing; how many lines
were lost is a line once there is room.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from fastapi import Request, Response
from fastapi.routing import APIRoute

from lurcher.errors import FieldError
from lurcher.server.log_writer import LogWriter
from lurcher.server.noted import note

_log = structlog.get_logger()

# That the last lines have to be written, when a server ends or begins another file.
_SECONDS = 5.0


class AuditedRoute(APIRoute):
    """A route whose requests are noted as an action of its endpoint's name, whatever becomes of them.

    Those that only read are not.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what handles a request."""
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            self.note_action(request)
            return await inner(request)

        return handle

    def note_action(self, request: Request) -> None:
        """Note what ``request`` tries to change."""
        if request.method != "GET":
            note(request, action=self.name)


class Audit:
    """Adds lines to the file at ``path``, or to the server's own log for None."""

    def __init__(self, path: Path | None) -> None:
        """Raises FieldError if the file cannot be written to."""
        self._path = path
        self._writer = None if path is None else _writer(path)

    def write(self, **entry: Any) -> None:
        """Add ``entry`` with the time; return at once."""
        if self._writer is None:
            _log.info("audit", **entry)
            return
        line = json.dumps({"timestamp": datetime.now(UTC).isoformat(), **entry})
        self._writer.write(f"{line}\n")

    def reopen(self) -> None:
        """Go on in a new file, if the one before was moved away. Raises FieldError, and stays in that."""
        if self._path is not None:
            writer = _writer(self._path)
            self.close()
            self._writer = writer

    def close(self) -> None:
        """Wait until all is written, for some seconds at most."""
        if self._writer is not None:
            self._writer.close(_SECONDS)


class _Lines:
    """The file at ``path``, to which each text is added in one piece: other workers add to it, too."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        self._torn = False

    def write(self, text: str) -> int:
        """Add ``text``. Raises OSError if it does not fit; the next one begins a line of its own."""
        whole = (b"\n" if self._torn else b"") + text.encode()
        written = os.write(self._file, whole)
        self._torn = written < len(whole)
        if self._torn:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return len(text)

    def flush(self) -> None:
        """Return at once: nothing is kept back."""

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


def _writer(path: Path) -> LogWriter:
    try:
        return LogWriter(_Lines(path))
    except OSError as error:
        raise FieldError("audit", f"cannot write to {path}: {error.strerror}") from error
