"""What ``lurcher add``, ``sync`` and ``compact`` refuse, with what is at fault."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lurcher.bundle.manifest import read_manifest
from lurcher.index_builder.edit.requests import Delete
from lurcher.index_builder.edit.writer import Writer
from tests.cli.running import Run, complaint, output


@pytest.fixture
def bundle(small_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_bundle, tmp_path / "docs.lurcher"))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}\n', "line 2: id 'a' was used before"),
        ('{"id": "a", "text": "half of a pair: \\ud83d"}\n', "line 1: text holds a lone surrogate"),
        ('{"id": "a", "text": "x"}\n{"id": "b"}\n', "line 2: text is missing"),
    ],
)
def test_a_bad_record_is_named_with_its_line(
    run: Run, bundle: Path, tmp_path: Path, lines: str, said: str
) -> None:
    corpus = tmp_path / "more.jsonl"
    corpus.write_text(lines)
    for command in ("add", "sync"):
        assert said in complaint(run(command, bundle, corpus))
    assert read_manifest(bundle).passages >= 60  # nothing was deleted


def test_a_bundle_that_another_writes_says_who_does(run: Run, bundle: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "more.jsonl"
    corpus.write_text(json.dumps({"id": "n", "text": "a narwhal"}) + "\n")
    writer = Writer.open(bundle)
    try:
        for words in (["add", bundle, corpus], ["compact", bundle, "--recalibrate"]):
            assert "is being written by process" in complaint(run(*words))
    finally:
        writer.close()
    assert "1 documents written" in output(run("add", bundle, corpus, "--keep-feedback"))
    assert "61 passages in one segment, all learnt anew" in output(
        run("compact", bundle, "--recalibrate")
    )


def test_a_ranker_model_of_another_bundle_is_not_asked_for(run: Run, bundle: Path) -> None:
    gone = run("delete", bundle, "--ids", "en-food-0", "--ranker-model", "nowhere")
    assert "1 passages deleted" in output(gone)


def test_nothing_is_learnt_from_nothing(run: Run, bundle: Path) -> None:
    writer = Writer.open(bundle)
    rows = writer.bundle.passages.rows(()).tolist()
    writer.commit([Delete(tuple(one.id for one in writer.bundle.passages.get(rows)))])
    writer.close()
    assert "no passage to learn from" in complaint(run("compact", bundle, "--recalibrate"))
