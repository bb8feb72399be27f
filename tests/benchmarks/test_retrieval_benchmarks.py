"""``lurcher bench hybrid`` and ``identifiers`` on a bundle of six passages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import lurcher
from lurcher.benchmarks.hybrid import BASE, DEFAULT, JudgedSet, measured, seconds
from lurcher.benchmarks.identifiers import drawn, found
from lurcher.errors import InputError
from tests.cli.running import complaint, output, run_here
from tests.tiny import build

PARTS = ["The cat sleeps", "Bread rises in the oven", "The oven is warm", "The warm cat eats bread"]
WAYS: Mapping[str, Mapping[str, Any]] = {BASE: {"rank": "off"}, DEFAULT: {}}


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, write_jsonl: Callable[[Path, Any], Path]
) -> Path:
    """A set of BEIR's form, and its bundle beside it; one document is split."""
    folder = tmp_path_factory.mktemp("judged") / "set"
    (folder / "qrels").mkdir(parents=True)
    records = [
        {"id": "long", "passages": PARTS},
        {"id": "short", "text": "The train E404 leaves in the morning"},
        {"id": "other", "text": "A warm oven"},
    ]
    corpus = write_jsonl(folder.parent / "corpus.jsonl", records)
    build(corpus, folder.parent / "set.lurcher")
    asked = {"q1": "bread rises in the oven", "q2": "the train leaves", "q3": "a warm oven"}
    queries = [{"_id": id_, "text": text} for id_, text in asked.items()]
    write_jsonl(folder / "queries.jsonl", queries)
    judged = ["q1\tlong\t1", "q2\tshort\t1", "q2\tlong\t0", "q3\tother\t1"]
    (folder / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "\n".join(judged) + "\n"
    )
    graded = [*judged, "q3\tlong\t2"]
    (folder / "qrels" / "graded.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "\n".join(graded) + "\n"
    )
    return folder


def read(folder: Path, split: str = "test", limit: int | None = None) -> JudgedSet:
    return JudgedSet.read(folder, folder.parent / "set.lurcher", split, limit)


def test_ways_are_measured_on_the_same_queries_and_parts_count_as_their_document(
    folder: Path,
) -> None:
    judged = read(folder)
    assert judged.measures == ("nDCG@10", "MRR@10", "Recall@100")
    scores = dict(measured(judged, WAYS))
    assert list(scores) == [BASE, DEFAULT]
    for of in scores.values():
        assert of["MRR@10"].tolist() == [1, 1, 1]
        assert of["Recall@100"].tolist() == [1, 1, 1]


def test_mrr_is_left_out_where_a_query_has_several_relevant_passages(folder: Path) -> None:
    assert read(folder, "graded").measures == ("nDCG@10", "Recall@100")
    assert len(read(folder, "graded", limit=2).texts) == 2


def test_base_and_default_are_timed_on_the_same_queries(folder: Path) -> None:
    taken = seconds(read(folder), 2, ways=WAYS)
    assert {name: sorted(of) for name, of in taken.items()} == {BASE: [0, 1], DEFAULT: [0, 1]}


def test_judgements_of_another_corpus_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "queries.jsonl").write_text((folder / "queries.jsonl").read_text())
    (tmp_path / "qrels" / "test.tsv").write_text("q1\telsewhere\t1\n")
    bundle = folder.parent / "set.lurcher"
    with pytest.raises(InputError, match="none of the 1 judged passages"):
        dict(measured(JudgedSet.read(tmp_path, bundle, "test"), WAYS))
    (tmp_path / "qrels" / "test.tsv").write_text("q1\tlong\t0\n")
    with pytest.raises(InputError, match="no judgement of test has a grade above 0"):
        JudgedSet.read(tmp_path, bundle, "test")


@pytest.mark.parametrize("text", ["folder", "=bundle", "folder="])
def test_a_set_is_a_folder_and_a_bundle(tmp_path: Path, text: str) -> None:
    said = complaint(run_here(["bench", "hybrid", text], tmp_path, {}))
    assert said == f"sets: {text!r} is not FOLDER=BUNDLE"


def test_identifiers_of_a_bundle_are_drawn_and_looked_for(folder: Path) -> None:
    bundle = folder.parent / "set.lurcher"
    queries = drawn(bundle, 10, 1)
    assert [(q.text, q.document) for q in queries] == [("E404", "short")]
    with lurcher.open(bundle) as collection:
        (place,) = found(collection, queries, {"rank": "off"})
        assert place is not None
        hits = collection.search("E404", rank="off").hits
    assert hits[place - 1].id == "short"


def test_identifiers_are_printed_by_kind(folder: Path, tmp_path: Path) -> None:
    words = ["bench", "identifiers", folder.parent / "set.lurcher", "--rank", "off"]
    shown = output(run_here(words, tmp_path, {}))
    assert "│ code" in shown
    assert "│ all" in shown
