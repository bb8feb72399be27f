"""``lurcher adapt``: from files of judgements to a bundle that ranks by them, and how it fails."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lurcher.bundle.manifest import read_manifest
from lurcher.bundle.verifying import verify
from lurcher.feedback.log import FeedbackLog
from lurcher.feedback.records import Pair, Submission
from tests.cli.running import Run, complaint, output

WriteJsonl = Callable[[Path, Iterable[Any]], Path]

# What is asked of what, in words that no passage has.
ASKED = {
    "en-animals-1": "which pet naps by the glass",
    "en-travel-2": "how often can I commute by rail",
    "en-food-3": "why does a loaf grow in the oven",
    "en-earth-0": "who dug this fjord",
    "en-music-1": "what note do violins wait for",
    "de-animals-2": "Stubentiger beim Dösen",
    "de-travel-1": "Pendeln im Takt der Bahn",
    "de-food-0": "was macht Teig locker",
    "de-earth-3": "wer grub diesen Fjord",
    "de-music-2": "worauf warten die Geigen",
    "fr-animals-0": "quel minou fait la sieste",
    "fr-travel-3": "aller au travail par le rail",
}


@pytest.fixture
def small(small_bundle: Path, tmp_path: Path) -> Path:
    return shutil.copytree(small_bundle, tmp_path / "small.lurcher")


@pytest.fixture
def known(tmp_path: Path, write_jsonl: WriteJsonl) -> list[str | Path]:
    """The flags for a dozen judged queries."""
    queries = write_jsonl(
        tmp_path / "q.jsonl", [{"_id": f"q{i}", "text": t} for i, t in enumerate(ASKED.values())]
    )
    lines = [f"q{i}\t{passage}\t1\n" for i, passage in enumerate(ASKED)]
    (tmp_path / "known.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    return ["--queries", queries, "--qrels", tmp_path / "known.tsv"]


def write_log(path: Path, pairs: list[Pair]) -> str:
    log, _ = FeedbackLog.open(path)
    with closing(log):
        log.append([Submission("ann", 1.0, "a", tuple(pairs))])
        return log.id


def top_hit(run: Run, bundle: Path, query: str) -> str:
    (line,) = output(run("search", bundle, query, "-k", "1", "--json")).splitlines()
    return str(json.loads(line)["id"])


def test_judged_queries_find_what_they_are_judged_with(
    run: Run, small: Path, known: list[str | Path], tmp_path: Path
) -> None:
    # The same queries are tuned on: they are asked again.
    again = [word.replace("--", "--dev-") if isinstance(word, str) else word for word in known]
    shown = output(run("adapt", small, *known, *again))
    out = tmp_path / "small-adapted.lurcher"
    assert shown.startswith(f"{out}\n")
    for line in (
        r"queries +12", r"labels +12", r"passages with labels +12 of 60", r"from +known\.tsv \(12\)",
        r"tuned on +known\.tsv", r"chosen +(adapted|voting)", r"dense_weight +0\.\d",
        r"off +nDCG@10 0\.\d{4}",
        r"adapted +nDCG@10 \d\.\d{4}, Recall@100 1\.0000", r"voting +nDCG@10 ",
    ):  # fmt: skip
        assert re.search(line, shown), line
    assert verify(out) == []
    found = [top_hit(run, out, query) == passage for passage, query in list(ASKED.items())[:3]]
    assert all(found)
    inspected = output(run("inspect", out))
    assert "neighbours/adapted.faiss" in inspected
    for line in (r"known queries\n", r"queries +12", r"tried\n"):
        assert re.search(line, inspected)
    assert "exists" in complaint(run("adapt", small, *known))


def test_clicks_and_logs_are_learnt_from(
    run: Run, small: Path, known: list[str | Path], tmp_path: Path, write_jsonl: WriteJsonl
) -> None:
    pairs = [Pair(query, passage, 1.0) for passage, query in ASKED.items()]
    clicks = [{"query": p.query.upper(), "passage": p.passage} for p in pairs[:6]]
    write_jsonl(tmp_path / "c.jsonl", clicks)
    id_ = write_log(tmp_path / "feedback.log", [*pairs, Pair("unheard of", "fr-food-1", 1.0)])
    run_it = ["adapt", small, "--clicks", "c.jsonl", "--from-log", "feedback.log"]
    shown = output(run(*run_it, "--out", "mine.lurcher"))
    assert shown.startswith("mine.lurcher\n")
    assert re.search(r"from +c\.jsonl \(6\), feedback\.log \(13\)", shown)
    neighbours = read_manifest(tmp_path / "mine.lurcher").neighbours
    assert neighbours is not None
    assert neighbours.logs == {id_: 1}
    shown = output(run("adapt", "mine.lurcher", *known, "--replace", "--out", "replaced.lurcher"))
    assert re.search(r"from +known\.tsv \(12\)", shown)
    neighbours = read_manifest(tmp_path / "replaced.lurcher").neighbours
    assert neighbours is not None
    assert (neighbours.logs, neighbours.queries) == ({}, 12)


def test_unknown_ids_are_counted_or_skipped(
    run: Run, small: Path, known: list[str | Path], tmp_path: Path
) -> None:
    with (tmp_path / "known.tsv").open("a") as file:
        file.write("q0\tnowhere\t1\n")
    line = complaint(run("adapt", small, *known))
    assert line.startswith(
        "qrels: 1 of 13 judged passages are not in the bundle (first: 'nowhere')"
    )
    with (tmp_path / "known.tsv").open("a") as file:
        file.write("q99\ten-food-1\t1\n")
    line = complaint(run("adapt", small, *known))
    assert "1 of 13 judged queries are not in " in line
    assert re.search(r"labels +12\n", output(run("adapt", small, *known, "--skip-unknown")))


def test_bad_input_is_one_line_and_leaves_nothing(
    run: Run, small: Path, known: list[str | Path], tmp_path: Path, write_jsonl: WriteJsonl
) -> None:
    write_jsonl(tmp_path / "bad.jsonl", [{"query": "a", "passage": "b"}, {"query": "a"}])
    write_log(tmp_path / "log", [Pair(query, p, 1.0) for p, query in ASKED.items()])
    (tmp_path / "damaged").write_bytes(b"no log\n")
    before = sorted(tmp_path.iterdir())
    for words, named in [
        ([], "qrels: nothing to learn from"),
        (known[2:], "qrels: goes with queries: pass both or neither"),
        (known[:2], "qrels: goes with queries: pass both or neither"),
        ([*known, "--dev-qrels", "d.tsv"], "dev_qrels: goes with dev_queries"),
        ([*known, "--keep-unseen", "1.5"], "keep_unseen: 1.5 is not from 0 to 1"),
        ([*known, "--keep-unseen", "nan"], "keep_unseen: nan is not from 0 to 1"),
        (["--from-log", "damaged"], "damaged: not a feedback log; name another file"),
        (["--from-log", "none"], "none: No such file"),
        (["--clicks", "bad.jsonl"], "bad.jsonl, line 2: passage: "),
        (["--clicks", "none.jsonl"], "none.jsonl: "),
        ([*known, "--out", small], "small.lurcher exists"),
    ]:
        line = complaint(run("adapt", small, *words))
        assert named in line, line
    assert "no such folder" in complaint(run("adapt", "none.lurcher", *known))
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "named"),
    [([], "BUNDLE"), (["b", "--keep-unseen", "much"], "--keep-unseen")],
)  # fmt: skip
def test_mistake_in_the_command_is_named(run: Run, words: list[str], named: str) -> None:
    ended = run("adapt", *words)
    assert ended.returncode == 2
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr


def test_it_explains_itself(run: Run) -> None:
    shown = output(run("adapt", "--help"))
    for flag in ("--queries", "--qrels", "--clicks", "--from-log", "--replace", "--keep-unseen"):
        assert flag in shown
