"""``lurcher compare``: bundles, runs and settings, on a terminal and as a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.running import Run, complaint, output

pytest.importorskip("ir_measures", reason="the extra [eval] is not installed")


@pytest.fixture
def judged(tmp_path: Path) -> list[str]:
    texts = {"q1": "The cat sleeps", "q2": "Hefe Zucker Gas"}
    lines = [json.dumps({"_id": id_, "text": text}) + "\n" for id_, text in texts.items()]
    (tmp_path / "queries.jsonl").write_text("".join(lines))
    (tmp_path / "qrels.txt").write_text("q1 0 en-animals-3 1\nq2 0 de-food-3 1\n")
    return ["--queries", "queries.jsonl", "--qrels", "qrels.txt"]


def test_bundle_beside_itself_and_beside_a_run(
    run: Run, small_bundle: Path, judged: list[str], tmp_path: Path
) -> None:
    (tmp_path / "poor.run").write_text("q1 Q0 en-food-1 1 1 x\nq2 Q0 de-food-3 1 1 x\n")
    shown = output(run("compare", "poor.run", small_bundle, *judged, "--html", "out.html"))
    assert shown.startswith("poor.run and small, 2 queries\n  nDCG@10     0.5000 to ")
    assert "better: The cat sleeps  (0.000 to " in shown
    assert "* animals 3 en-animals-3 (other: none)" in shown
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "Better in small" in page
    assert "The cat sleeps on the warm windowsill" in page
    itself = output(run("compare", f"{small_bundle},rank=off", "rank=off,candidates=5", *judged))
    assert itself.startswith("small,rank=off and small,rank=off,candidates=5, 2 queries\n")
    assert itself.endswith("no query changed\n")


def test_what_cannot_be_compared_is_one_line(
    run: Run, small_bundle: Path, judged: list[str], tmp_path: Path
) -> None:
    assert "queries are needed" in complaint(run("compare", small_bundle, "rank=off"))
    (tmp_path / "text.txt").write_text("no run\n")
    line = complaint(run("compare", small_bundle, "text.txt", *judged))
    assert line.startswith("text.txt, line 1: 2 fields, expected 6")
    assert "must be one of auto, hybrid" in complaint(
        run("compare", small_bundle, "retrieve=best", *judged)
    )
    line = complaint(run("compare", small_bundle, "rank=off", *judged, "--html", "no/out.html"))
    assert line == "no/out.html: No such file or directory"
