"""docs/evaluation.md: its examples run from top to bottom, in a folder of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.page_examples import run_examples

pytest.importorskip("ir_measures", reason="the extra [eval] is not installed")
pytest.importorskip("pyarrow", reason="the extra [parquet] is not installed")

PAGE = Path(__file__).parents[2] / "docs" / "evaluation.md"


def test_examples_run_from_top_to_bottom(
    small_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "docs.lurcher").symlink_to(small_bundle)
    monkeypatch.chdir(tmp_path)
    names, printed = run_examples(PAGE, capsys)
    assert len(printed) > 5
    assert all(printed[1:])
    assert printed[-1].endswith("True\n")
    assert names["found"].against[0].differences["nDCG@10"].p >= 2 / 8
