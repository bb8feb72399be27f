"""``lurcher search --pefa``: how known queries count in a search without a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from index_builder.adapt import adapt
from index_builder.judged.known import Known
from index_builder.neighbours import Judged, NeighbourOptions
from tests.cli.running import Run, complaint, output

TICKET = "ticket number {} is still open"


@pytest.fixture(scope="module")
def known(
    small_bundle: Path,
    small_records: list[dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A bundle whose passages answer tickets that have nothing to do with their texts, tuned for that."""
    queries = [
        Known(f"t{i}", TICKET.format(i * 7919), {record["id"]: 1.0}, "tickets.tsv")
        for i, record in enumerate(small_records)
    ]
    asked = [Known(f"a{q.id}", f"is {q.text}?", q.labels, "asked.tsv") for q in queries]
    out = tmp_path_factory.mktemp("known") / "known.lurcher"
    adapt(small_bundle, Judged(queries, asked), NeighbourOptions(keep_unseen=0), out)
    return out


def first(run: Run, bundle: Path, *words: str) -> dict[str, Any]:
    (line,) = output(
        run("search", bundle, TICKET.format(44 * 7919), "-k", "1", "--json", *words)
    ).splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_known_queries_count_unless_they_are_off(
    run: Run, known: Path, small_bundle: Path, small_records: list[dict[str, Any]]
) -> None:
    wanted = small_records[44]["id"]
    for mode in ("xs", "xl"):
        assert first(run, known, "--pefa", mode)["id"] == wanted
    assert first(run, known) == first(run, known, "--pefa", "auto")
    assert first(run, known)["id"] == wanted
    assert first(run, known, "--pefa", "off") == first(run, small_bundle)
    assert first(run, small_bundle)["id"] != wanted


def test_mode_that_cannot_be_asked_is_named(run: Run, small_bundle: Path) -> None:
    line = complaint(run("search", small_bundle, "a cat", "--pefa", "xs"))
    assert line.startswith("pefa.mode: ")
    assert "lurcher adapt" in line
    ended = run("search", small_bundle, "a cat", "--pefa", "both")
    assert ended.returncode == 2
    assert "--pefa" in ended.stderr
