"""``lurcher search --pefa``: how known queries count in a search without a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cli.running import Run, complaint, output
from tests.tickets import TICKET


def first(run: Run, bundle: Path, *words: str) -> dict[str, Any]:
    (line,) = output(
        run("search", bundle, TICKET.format(44 * 7919), "-k", "1", "--json", *words)
    ).splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_known_queries_count_unless_they_are_off(
    run: Run, ticket_bundle: Path, small_bundle: Path, small_records: list[dict[str, Any]]
) -> None:
    wanted = small_records[44]["id"]
    for mode in ("adapted", "voting"):
        assert first(run, ticket_bundle, "--pefa", mode)["id"] == wanted
    assert first(run, ticket_bundle) == first(run, ticket_bundle, "--pefa", "auto")
    assert first(run, ticket_bundle)["id"] == wanted
    assert first(run, ticket_bundle, "--pefa", "off") == first(run, small_bundle)
    assert first(run, small_bundle)["id"] != wanted


def test_mode_that_cannot_be_asked_is_named(run: Run, small_bundle: Path) -> None:
    line = complaint(run("search", small_bundle, "a cat", "--pefa", "adapted"))
    assert line.startswith("pefa.mode: ")
    assert "lurcher adapt" in line
    ended = run("search", small_bundle, "a cat", "--pefa", "both")
    assert ended.returncode == 2
    assert "--pefa" in ended.stderr
