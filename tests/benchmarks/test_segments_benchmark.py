"""`lurcher bench segments` compares one segment with several that answer the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lurcher.benchmarks.segments import main


def test_segments_are_timed_against_one(
    small_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queries = tmp_path / "queries.jsonl"
    texts = ["a sleeping cat", "why bread rises", "ein Gletscher", "windowsill"]
    lines = [json.dumps({"_id": str(i), "text": text}) for i, text in enumerate(texts)]
    queries.write_text("\n".join(lines))
    main(small_bundle, queries, segments=4, share=0.5, deleted=0.2, limit=4)
    printed = capsys.readouterr().out
    assert "60 passages: median of 4 queries" in printed
    for name in ("default", "dense", "lexical"):
        (line,) = (line for line in printed.splitlines() if name in line)
        assert line.count(" ms, ") == 3
