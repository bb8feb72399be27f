"""Logs: the format by where they go; what a caller sent never controls a terminal."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import structlog

from lurcher.server import logs
from lurcher.server.settings import Settings

EVIL = "/\x1b]0;title\x07\x9b31m\n{forged}\u202e"
PRIVATE = "WHAT SOMEBODY ASKED"  # lower case where it is logged, so that no line of source holds it


@pytest.mark.parametrize(
    ("wanted", "terminal", "found"),
    [
        ("auto", True, "console"), ("auto", False, "json"), ("json", True, "json"),
        ("console", False, "console"),
    ],
)  # fmt: skip
def test_people_read_terminals(wanted: Any, terminal: bool, found: str) -> None:
    settings = Settings(bundle=Path("b"), log_format=wanted)
    assert logs.log_format(settings, terminal) == found


def fail(log: Any, query: str) -> None:
    """Log an error raised where ``query`` is a local variable."""
    try:
        raise ValueError(f"wrong: {EVIL}")
    except ValueError as error:
        log.error("unexpected", exc_info=error)


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_log_line_controls_no_terminal(monkeypatch: pytest.MonkeyPatch, log_format: Any) -> None:
    written, before = io.StringIO(), structlog.get_config()
    monkeypatch.setattr("sys.stderr", written)
    try:
        writer = logs.configure(Settings(bundle=Path("b"), log_format=log_format))
        log = structlog.get_logger()
        log.info("request", path=EVIL)
        fail(log, PRIVATE.lower())
        writer.close(10)
    finally:
        structlog.configure(**before)
    shown = written.getvalue()
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(shown)
    assert "wrong" in shown
    assert PRIVATE.lower() not in shown
    first = shown.splitlines()[0]
    if log_format == "json":
        assert json.loads(first)["path"] == EVIL
    else:
        assert "{forged}" in first  # on the line of its request
