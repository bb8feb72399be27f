"""TREC runs: what is written is what trec_eval reads, and bad lines are named."""

from __future__ import annotations

import gzip
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("ir_measures", reason="the extra [eval] is not installed")

import ir_measures
from ir_measures import RR, nDCG

from lurcher.errors import CorpusError, FieldError
from lurcher.evaluation.measures import per_query
from lurcher.evaluation.runs import falling, read_run, write_run

QRELS = {"q1": {"a": 1, "b": 0, "c": 2}, "q2": {"z": 1}}


def test_what_was_written_is_read_in_its_order(tmp_path: Path) -> None:
    found = {"q1": [("a", 0.5), ("b", 0.5), ("c", 0.25)], "q2": [("z", -3.0), ("y", -3.5)]}
    path = tmp_path / "system.run"
    write_run(path, found, "mine")
    assert path.read_text().splitlines()[0] == "q1 Q0 a 1 0.5 mine"
    read = read_run(path)
    assert read.name == "system.run"
    assert {q: [p for p, _ in hits] for q, hits in read.rankings.items()} == {
        "q1": ["a", "b", "c"], "q2": ["z", "y"],
    }  # fmt: skip
    assert read.rankings_of(["q2", "nowhere"], 1) == [[("z", -3.0)], []]


def test_trec_eval_counts_of_the_file_what_is_counted_here(tmp_path: Path) -> None:
    """Of equal scores, too, and of scores that differ in 64 bits alone."""
    found = {
        "q1": [("b", 0.9), ("a", 0.9 - 1e-12), ("c", 0.9 - 1e-12)],
        "q2": [("y", 0.1), ("z", 0.1)],
    }
    write_run(tmp_path / "run", found)
    counted = ir_measures.calc_aggregate(
        [nDCG @ 10, RR @ 10], QRELS, ir_measures.read_trec_run(str(tmp_path / "run"))
    )
    ours = per_query(list(found), list(found.values()), QRELS)
    assert counted[nDCG @ 10] == pytest.approx(ours["nDCG@10"].mean())
    assert counted[RR @ 10] == pytest.approx(ours["MRR@10"].mean()) == 0.5


@given(st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=30))
def test_written_scores_fall_and_stay_near(scores: list[float]) -> None:
    scores.sort(reverse=True)
    found = falling(scores)
    assert all(after < before for before, after in pairwise(found))
    read = [np.float32(float(f"{score:.9g}")) for score in found]
    assert read == found
    assert np.allclose(found, scores, rtol=1e-5, atol=1e-38)


def test_another_tools_run_is_sorted_as_trec_eval_sorts(tmp_path: Path) -> None:
    path = tmp_path / "other.run.gz"
    lines = "q1\tQ0\ta\t1\t1.5\tx\nq1 Q0 b 2 7 x\n\nq1 Q0 c 3 1.5 x\n"
    path.write_bytes(gzip.compress(lines.encode()))
    assert read_run(path).rankings == {"q1": [("b", 7.0), ("c", 1.5), ("a", 1.5)]}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("q1 Q0 b 2 0.5", "line 2: 5 fields, expected 6"),
        ("q1 Q0 b 2 high x", "line 2: score 'high' is not a number"),
        ("q1 Q0 b 2 nan x", "line 2: score 'nan' is not a number"),
        ("q1 Q0 a 2 0.5 x", "line 2: query 'q1' has 'a' already"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "bad.run"
    path.write_text(f"q1 Q0 a 1 0.9 x\n{line}\n")
    with pytest.raises(CorpusError, match=reason):
        read_run(path)


@pytest.mark.parametrize("ids", [("q", "a b"), ("q 1", "a"), ("q", ""), ("q", "a\u00a0b")])
def test_ids_that_would_tear_a_line_apart_are_refused_and_nothing_is_written(
    tmp_path: Path, ids: tuple[str, str]
) -> None:
    with pytest.raises(FieldError, match="white space separates its fields"):
        write_run(tmp_path / "run", {"first": [("a", 1.0)], ids[0]: [(ids[1], 1.0)]})
    assert list(tmp_path.iterdir()) == []
