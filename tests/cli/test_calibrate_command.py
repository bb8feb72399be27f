"""``lurcher calibrate``: what it says of values that stay, and of a bundle that has none."""

from __future__ import annotations

import shutil
from pathlib import Path

from lurcher.bundle.manifest import read_manifest
from tests.cli.running import Run


def test_values_that_stay_are_a_warning_with_the_reason(
    answering_bundle: Path, tmp_path: Path, run: Run
) -> None:
    bundle = Path(shutil.copytree(answering_bundle, tmp_path / "b.lurcher"))
    before = read_manifest(bundle)
    ended = run("calibrate", bundle)
    assert ended.returncode == 0
    assert "keeps the values that it had: only" in ended.stderr
    assert "60 are needed" in " ".join(ended.stderr.split())
    assert "calibrated by" in ended.stdout
    assert read_manifest(bundle) == before


def test_bundle_without_a_reader_is_an_error(small_bundle: Path, tmp_path: Path, run: Run) -> None:
    bundle = Path(shutil.copytree(small_bundle, tmp_path / "b.lurcher"))
    ended = run("calibrate", bundle)
    assert ended.returncode == 1
    assert "this bundle has no reader" in " ".join(ended.stderr.split())
