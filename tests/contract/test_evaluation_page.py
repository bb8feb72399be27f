"""docs/evaluation.md: its examples run from top to bottom, in a folder of their own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ir_measures", reason="the extra [eval] is not installed")
pytest.importorskip("pyarrow", reason="the extra [parquet] is not installed")

PAGE = Path(__file__).parents[2] / "docs" / "evaluation.md"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_examples_run_from_top_to_bottom(
    small_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "docs.lurcher").symlink_to(small_bundle)
    monkeypatch.chdir(tmp_path)
    page = PAGE.read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    printed: list[str] = []
    for block in _BLOCK.finditer(page):
        lines = "\n" * page.count("\n", 0, block.start(1)) + block[1]
        exec(compile(lines, str(PAGE), "exec"), names)  # noqa: S102 (our own page)
        printed.append(capsys.readouterr().out)
    assert len(printed) > 5
    assert all(printed[1:])
    assert printed[-1].endswith("True\n")
    assert names["found"].against[0].differences["nDCG@10"].p >= 2 / 8
