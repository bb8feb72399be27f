"""``lurcher bench neighbours`` times every mode of known queries."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lurcher.benchmarks.neighbours import main
from tests.tickets import TICKET


def test_every_mode_is_timed(
    ticket_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queries = tmp_path / "queries.jsonl"
    lines = [json.dumps({"_id": f"q{i}", "text": TICKET.format(i)}) + "\n" for i in range(60)]
    queries.write_text("".join(lines))
    main(ticket_bundle, queries, None, limit=10, threads=1)
    printed = capsys.readouterr().out
    assert "60 passages, 60 known queries" in printed
    timed = [line for line in printed.splitlines() if line.count(" ms") == 3]
    ways = ["off", "adapted", "voting", "adapted, one learnt online", "voting, one learnt online"]
    assert len(timed) == len(ways)
    assert all(way in line for way, line in zip(ways, timed, strict=True))
