"""Structured logs: one JSON object per line, or text for a person."""

from __future__ import annotations

import logging
import sys
from io import StringIO
from typing import Any, Literal, TextIO, cast

import structlog

from lurcher.printable import printable
from lurcher.server.log_writer import LogWriter
from lurcher.server.settings import Settings


def configure(settings: Settings, worker: int | None = None) -> LogWriter:
    """Set up the logging of the process, to what is returned; call it once, when a server starts.

    Lines say which ``worker`` of a server they are from, if there are several.
    """
    writer = LogWriter(sys.stderr)
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    named = {} if worker is None else {"worker": worker}
    shared: list[structlog.typing.Processor] = [
        lambda _logger, _method, event: {**event, **named},
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor] = (
        # Without local variables: they contain queries and passages, which are private.
        [
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            structlog.processors.JSONRenderer(),
        ]
        if log_format(settings, sys.stderr.isatty()) == "json"
        else [
            _printable,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_trace),
        ]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", writer)),
        cache_logger_on_first_use=True,
    )
    return writer


def log_format(settings: Settings, terminal: bool) -> Literal["json", "console"]:
    """The format to log in; people read a terminal, and programs whatever else stderr is."""
    if settings.log_format == "auto":
        return "console" if terminal else "json"
    return settings.log_format


def _printable(
    _logger: Any, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """The event without control characters: a request's path may hold escape sequences, or forge a line."""
    return {
        name: printable(value) if isinstance(value, str) else value for name, value in event.items()
    }


def _trace(out: TextIO, error: structlog.typing.ExcInfo) -> None:
    """Write the trace to ``out``, without local variables; a message may hold control characters, too."""
    plain = StringIO()
    structlog.dev.plain_traceback(plain, error)
    out.write(printable(plain.getvalue(), lines=True))
