"""``lurcher bench writes`` prints a row for each kind of write and leaves the bundle as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from lurcher.benchmarks.writes import main
from lurcher.bundle.verifying import verify


def test_writes_are_timed(small_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(small_bundle.parent.iterdir())
    main(small_bundle, count=3, threads=1)
    printed = capsys.readouterr().out
    for kind in ("upsert", "patch", "delete", "delete, of the build"):
        assert kind in printed
    assert sorted(small_bundle.parent.iterdir()) == before
    assert verify(small_bundle) == []
