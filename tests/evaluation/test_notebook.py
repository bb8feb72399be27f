"""What a data scientist does in a notebook, in a folder whose own modules have names like ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ir_measures", reason="the extra [eval] is not installed")
parquet = pytest.importorskip("pyarrow.parquet", reason="the extra [parquet] is not installed")

# As a kernel does it: in this folder, which is the first place to look for modules.
PROGRAM = """
import models  # the notebook's own
import lurcher

with lurcher.open("docs.lurcher", threads=1) as docs:
    found = lurcher.evaluate(docs, "queries.jsonl", "qrels.txt", against="rank=off")
    found.write_run("docs.run")
    found.write_per_query("docs.parquet")
    lurcher.compare("docs.run", docs, "queries.jsonl", {"q1": {"en-food-0": 1}}).write_html("docs.html")
(other,) = found.against
print(models.MINE, found.figures["nDCG@10"].mean, other.target, other.differences["nDCG@10"].p)
"""


def test_notebook_beside_modules_named_like_ours(small_bundle: Path, tmp_path: Path) -> None:
    for name in ("models", "bundle", "retrieval", "evaluation", "server"):
        (tmp_path / f"{name}.py").write_text("MINE = 'mine'\n")
    (tmp_path / "docs.lurcher").symlink_to(small_bundle)
    queries = [{"_id": f"q{i}", "text": text} for i, text in enumerate(("trains", "bread rises"))]
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps(one) + "\n" for one in queries))
    (tmp_path / "qrels.txt").write_text("q0 0 en-travel-0 1\nq1 0 en-food-0 1\n")
    root = str(Path(__file__).parents[2])
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": root}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    mine, mean, other, p = ended.stdout.split()
    assert (mine, other) == ("mine", "small,rank=off")
    assert 0 < float(mean) <= 1
    assert 0 < float(p) <= 1
    rows = parquet.read_table(tmp_path / "docs.parquet").to_pylist()
    assert [(row["query_id"], row["target"]) for row in rows] == [
        ("q0", "small"), ("q1", "small"), ("q0", "small,rank=off"), ("q1", "small,rank=off"),
    ]  # fmt: skip
    assert (tmp_path / "docs.run").read_text().startswith("q0 Q0 ")
    assert "docs.run" in (tmp_path / "docs.html").read_text()
