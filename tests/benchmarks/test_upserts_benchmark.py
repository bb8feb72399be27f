"""``lurcher bench upserts`` writes the whole corpus into a copy, and asks all the while."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lurcher.benchmarks.upserts import main
from lurcher.bundle.verifying import verify


@pytest.mark.nightly
def test_searches_are_timed_with_and_without_writes(
    small_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, queries = tmp_path / "corpus.jsonl", tmp_path / "queries.jsonl"
    corpus.write_text(
        "".join(json.dumps({"id": str(i), "text": f"word {i}"}) + "\n" for i in range(7))
    )
    queries.write_text('{"_id": "q", "text": "wind turbine"}\n')
    before = sorted(small_bundle.parent.iterdir())
    main(small_bundle, corpus, queries, clients=1, documents=3, seconds=0.1)
    printed = capsys.readouterr().out
    assert "7 documents written" in printed
    assert "with writes against without" in printed
    assert sorted(small_bundle.parent.iterdir()) == before
    assert verify(small_bundle) == []
