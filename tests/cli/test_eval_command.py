"""``lurcher eval``: the same figures from a bundle and from a server, alone and compared."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import Run, complaint, output
from tests.server.serving import running, settings
from tests.tiny import build

pytest.importorskip("ir_measures", reason="the extra [eval] is not installed")

Evaluate = Callable[..., tuple[str, Any]]

MEASURES = {"nDCG@10", "MRR@10", "Recall@10", "Recall@100"}


@pytest.fixture
def judged(tmp_path: Path) -> list[str]:
    """The flags for three queries: two found at once, one judged to want what nobody finds."""
    queries, qrels = tmp_path / "queries.jsonl", tmp_path / "test.tsv"
    texts = {
        "q1": "The cat sleeps on the warm windowsill",
        "q2": "Brot geht auf, weil Hefe Zucker in Gas verwandelt",
        "q3": "a glacier",
        "unjudged": "nothing",
    }
    queries.write_text("".join(json.dumps({"_id": i, "text": t}) + "\n" for i, t in texts.items()))
    found = [("q1", f"en-animals-{i}") for i in range(4)] + [
        ("q2", f"de-food-{i}") for i in range(4)
    ]
    lines = [f"{query}\t{passage}\t1" for query, passage in [*found, ("q3", "not-in-the-bundle")]]
    qrels.write_text("query-id\tcorpus-id\tscore\n" + "\n".join(lines) + "\n")
    return ["--queries", str(queries), "--qrels", str(qrels)]


@pytest.fixture
def evaluate(run: Run, tmp_path: Path) -> Evaluate:
    """Runs ``lurcher eval``; returns what it prints and what it writes."""

    def measured(*words: str | Path) -> tuple[str, Any]:
        printed = output(run("eval", *words, "--json", "out.json"))
        return printed, json.loads((tmp_path / "out.json").read_text())

    return measured


def test_figures_of_a_bundle(evaluate: Evaluate, small_bundle: Path, judged: list[str]) -> None:
    printed, written = evaluate(small_bundle, *judged)
    assert written["target"] == "small"
    assert written["queries"] == 3
    assert set(written["figures"]) == MEASURES
    assert written["against"] == []
    for figure in written["figures"].values():
        assert figure["mean"] == pytest.approx(2 / 3, abs=1e-9)
        assert 0 <= figure["low"] <= figure["mean"] <= figure["high"] <= 1
    assert "small, 3 queries" in printed
    assert all(f"{name} " in printed for name in MEASURES)
    assert "0.6667" in printed


def test_limit_takes_the_first_judged_queries(
    evaluate: Evaluate, small_bundle: Path, judged: list[str]
) -> None:
    _, written = evaluate(small_bundle, *judged, "--limit", "2")
    assert written["queries"] == 2
    assert {figure["mean"] for figure in written["figures"].values()} == {1.0}


def test_server_gives_the_figures_of_its_bundle(
    evaluate: Evaluate, small_bundle: Path, judged: list[str]
) -> None:
    with running(settings(small_bundle)) as client:
        printed, over_http = evaluate(client.url, *judged, "--against", small_bundle)
    _, on_disk = evaluate(small_bundle, *judged)
    assert over_http["figures"] == on_disk["figures"]
    assert over_http["target"] == client.url
    (other,) = over_http["against"]
    assert other["target"] == "small"
    assert set(other["differences"]) == MEASURES
    for change in other["differences"].values():
        assert (change["mean"], change["p"], change["p_corrected"]) == (0, 1, 1)
    assert "against small, which has\n  nDCG@10     +0.0000" in printed
    assert "corrected by Holm for 4 tests" in printed


def test_run_and_table_hold_what_was_found(
    evaluate: Evaluate, run: Run, small_bundle: Path, judged: list[str], tmp_path: Path
) -> None:
    """And a run is a target like a bundle."""
    files = ["--run", "small.run", "--per-query", "small.csv"]
    _, written = evaluate(small_bundle, *judged, *files, "--against", "rank=off")
    with (tmp_path / "small.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["query_id"], row["target"]) for row in rows[2:4]] == [
        ("q3", "small"),
        ("q1", "small,rank=off"),
    ]
    mean = sum(float(row["nDCG@10"]) for row in rows[:3]) / 3
    assert mean == pytest.approx(written["figures"]["nDCG@10"]["mean"])
    _, again = evaluate(tmp_path / "small.run", *judged)
    assert again["figures"] == written["figures"]
    assert again["target"] == "small.run"
    line = complaint(run("eval", tmp_path / "small.run", *judged, "--rank", "off"))
    assert line.startswith("rank: is for a search")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--per-query", "out.txt"], "--per-query: out.txt: must end in .csv or .parquet"),
        (["--run", "no/out.run"], "no/out.run: No such file or directory"),
        (["--run", "out.run", "--answers"], "--run: has hits, which --answers does not measure"),
        (["--against", "colour=red"], "colour: there is no such setting of a search"),
        (["--against", "rank=best"], "rank: 'best': must be one of auto, off"),
        (["--against", "candidates=0"], "candidates: '0': must be a whole number"),
    ],
)
def test_what_cannot_be_is_said_before_any_search(
    run: Run, small_bundle: Path, judged: list[str], words: list[str], says: str
) -> None:
    assert says in complaint(run("eval", small_bundle, *judged, *words))


def test_better_bundle_is_above_zero_against_a_worse_one(
    evaluate: Evaluate, small_bundle: Path, judged: list[str], tmp_path: Path
) -> None:
    corpus = tmp_path / "poor.jsonl"
    others = [
        {"id": "en-animals-0", "text": "a"},
        {"id": "other", "text": "The cat on the windowsill"},
    ]
    corpus.write_text("".join(json.dumps(one) + "\n" for one in others))
    build(corpus, tmp_path / "poor.lurcher")
    _, written = evaluate(tmp_path / "poor.lurcher", *judged, "--against", small_bundle)
    assert written["against"][0]["differences"]["nDCG@10"]["mean"] > 0.5


def test_what_cannot_be_measured_is_one_line(
    run: Run, small_bundle: Path, judged: list[str], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"_id": "q1"}\n')
    line = complaint(run("eval", small_bundle, "--queries", broken, *judged[2:]))
    assert f"{broken}, line 1: " in line
    broken.write_text('{"_id": "another", "text": "a"}\n')
    line = complaint(run("eval", small_bundle, "--queries", broken, *judged[2:]))
    assert "none of the 3 judged queries" in line
    assert complaint(run("eval", "http://127.0.0.1:9", *judged)).startswith("http://127.0.0.1:9: ")
    no_folder = complaint(
        run("eval", small_bundle, *judged, "--json", tmp_path / "no" / "out.json")
    )
    assert no_folder == f"{tmp_path}/no/out.json: No such file or directory"


def test_refused_batch_is_an_error_with_the_servers_words(
    run: Run, small_bundle: Path, judged: list[str]
) -> None:
    with running(settings(small_bundle, max_top_k=10)) as client:
        assert "top_k: at most 10" in complaint(run("eval", client.url, *judged))


def test_damaged_bundle_is_named(
    run: Run, small_bundle: Path, judged: list[str], tmp_path: Path
) -> None:
    damaged = shutil.copytree(small_bundle, tmp_path / "damaged.lurcher")
    (damaged / "segments" / "000000" / "passages.db").unlink()
    assert "passages.db: missing" in complaint(run("eval", damaged, *judged))


def test_judgements_of_another_corpus_are_no_measure(
    run: Run, small_bundle: Path, judged: list[str], tmp_path: Path
) -> None:
    ended = run("eval", small_bundle, *judged)
    assert ended.returncode == 0
    assert ended.stderr.startswith("warning: small lacks 1 of 9 judged passages (first: 'not-in-")
    other = tmp_path / "other.tsv"
    other.write_text("q1 0 x1 1\nq2 0 x2 1\n")
    line = complaint(run("eval", small_bundle, *judged[:2], "--qrels", other))
    assert line == (
        "small has none of the 2 judged passages (first: 'x1', 'x2'); are the judgements of its corpus?"
    )
