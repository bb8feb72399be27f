"""`lurcher inspect` tells the segments of a bundle, and what is deleted of them."""

from __future__ import annotations

import shutil
from pathlib import Path

from typer.testing import CliRunner

from lurcher.cli import app
from tests.living import cut_in_two


def inspected(path: Path) -> str:
    result = CliRunner().invoke(app, ["inspect", str(path)])
    assert result.exit_code == 0, result.output
    return result.output


def test_segments_are_listed_with_their_deletions(small_bundle: Path, tmp_path: Path) -> None:
    path = shutil.copytree(small_bundle, tmp_path / "cut.lurcher")
    assert "segments" not in inspected(path).split("bytes")[0]
    cut_in_two(path)
    lines = [line.split() for line in inspected(path).splitlines()]
    assert ["000000", "10", "passages,", "and", "50", "deleted"] in lines
    assert ["000001", "50", "passages,", "and", "10", "deleted"] in lines
