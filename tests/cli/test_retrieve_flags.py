"""``--retrieve`` and ``--query-syntax``: what finds passages in ``lurcher search`` and ``lurcher eval``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lurcher
from tests.cli.running import Run, complaint, output


def found(run: Run, bundle: Path, *words: str) -> list[dict[str, Any]]:
    return [
        json.loads(line) for line in output(run("search", bundle, "--json", *words)).splitlines()
    ]


@pytest.mark.parametrize("mode", ["auto", "hybrid", "dense", "lexical"])
def test_hits_are_those_of_the_mode(run: Run, small_bundle: Path, mode: Any) -> None:
    text = "the sleepy cat"
    with lurcher.open(small_bundle, threads=1) as docs:
        wanted = docs.search(text, 20, retrieve=mode, rank="off").hits
    hits = found(run, small_bundle, text, "-k", "20", "--rank", "off", "--retrieve", mode)
    assert [(hit["id"], hit["score"]) for hit in hits] == [
        (hit.id, pytest.approx(hit.score, abs=1e-5)) for hit in wanted
    ]


def test_words_alone_may_find_nothing(run: Run, small_bundle: Path) -> None:
    assert found(run, small_bundle, "xylophone", "--retrieve", "lexical") == []
    assert len(found(run, small_bundle, "xylophone", "--retrieve", "hybrid")) == 5


def test_phrases_are_asked_for(run: Run, small_bundle: Path) -> None:
    text = '"warm windowsill" and "note 2"'
    hits = found(run, small_bundle, text, "--query-syntax", "phrase")
    assert [hit["id"] for hit in hits] == ["en-animals-2"]
    assert len(found(run, small_bundle, text)) == 5


def test_what_the_bundle_lacks_is_one_line(
    run: Run, build_once: Callable[..., Path], small_bundle: Path
) -> None:
    bundle = build_once("wordless", seed=1, lexical=None)
    for flags, field in (
        (["--retrieve", "lexical"], "retrieve"),
        (["--query-syntax", "phrase"], "query_syntax"),
    ):
        line = complaint(run("search", bundle, "a cat", *flags))
        assert line.startswith(f"{field}: this bundle has no lexical index")
    ended = run("search", small_bundle, "a cat", "--retrieve", "bm25")
    assert ended.returncode == 2
    assert "--retrieve" in ended.stderr


@pytest.fixture
def judged(tmp_path: Path) -> list[str]:
    """The flags for two queries, one of which has no word in common with what answers it."""
    pytest.importorskip("ir_measures", reason="the extra [eval] is not installed")
    queries, qrels = tmp_path / "queries.jsonl", tmp_path / "test.tsv"
    texts = {"q1": "The cat sleeps on the warm windowsill", "q2": "xylophone"}
    queries.write_text("".join(json.dumps({"_id": i, "text": t}) + "\n" for i, t in texts.items()))
    lines = ["q1\ten-animals-0\t1", "q2\tde-food-0\t1"]
    qrels.write_text("query-id\tcorpus-id\tscore\n" + "\n".join(lines) + "\n")
    return ["--queries", str(queries), "--qrels", str(qrels)]


def test_eval_measures_a_mode_against_another(
    run: Run, small_bundle: Path, judged: list[str], tmp_path: Path
) -> None:
    def recall(*words: str) -> tuple[float, Any]:
        output(run("eval", small_bundle, *judged, "--rank", "off", "--json", "out.json", *words))
        written = json.loads((tmp_path / "out.json").read_text())
        return written["figures"]["Recall@100"]["mean"], written["against"]

    assert recall("--retrieve", "dense") == (1.0, [])
    assert recall("--retrieve", "lexical") == (0.5, [])
    mean, against = recall(
        "--retrieve", "lexical", "--against-retrieve", "dense", "--against-rank", "off"
    )
    assert mean == 0.5
    assert against[0]["differences"]["Recall@100"]["mean"] == 0.5  # more
