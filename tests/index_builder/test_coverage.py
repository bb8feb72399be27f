"""A build says how much of its corpus is searched."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from typer.testing import CliRunner

from lurcher.bundle.manifest import Coverage, read_manifest
from lurcher.cli import app
from lurcher.index_builder.corpus.left_out import files_left_out, kind_of_file
from tests.tiny import BY_TINY, TinyOptions, build

SENTENCE = "The cat sleeps on the warm sill while rain falls. "


def folder(root: Path) -> Path:
    (root / "docs").mkdir(parents=True)
    (root / "docs" / "long.txt").write_text(SENTENCE * 60)
    (root / "docs" / "short.md").write_text("A cat sleeps")
    (root / "docs" / "odd.txt").write_text("ᚠᚢᚦᚨᚱᚲ ᚷᚹᚺᚾᛁᛃ ᛇᛈᛉᛊᛏᛒ")
    for name in ("a.PNG", "b.png", "Makefile", "c.tar.gz", ".hidden"):
        (root / "docs" / name).write_bytes(b"x")
    return root


def test_what_was_read_and_what_was_left_out_is_said(tmp_path: Path) -> None:
    corpus, out = folder(tmp_path / "corpus"), tmp_path / "b.lurcher"
    run = CliRunner().invoke(app, ["build", str(corpus), str(out), *BY_TINY, "--json"])
    assert run.exit_code == 0, run.output
    said = json.loads(run.stdout)
    manifest = read_manifest(out)
    size = len("".join((SENTENCE * 60).split())) + len("Acatsleeps") + 18
    assert manifest.coverage == Coverage(
        documents=3, split_documents=1, characters=size, characters_read=size,
        passages_by_kind={".md": 1, ".txt": manifest.passages - 1},
        files_left_out={".png": 2, ".tar.gz": 1, "none": 1}, unfamiliar_passages=1,
    )  # fmt: skip
    assert Coverage.model_validate(said["coverage"]) == manifest.coverage
    assert said["passages"] == manifest.passages
    shown = CliRunner().invoke(app, ["inspect", str(out)])
    assert "3, of which 1 were split" in shown.output
    assert f"100.0% of {size:,}" in shown.output
    assert ".png 2, .tar.gz 1, without a suffix 1" in shown.output
    assert f"less than two thirds of 1 of {manifest.passages} passages" in " ".join(
        shown.output.split()
    )
    document = json.loads(CliRunner().invoke(app, ["inspect", str(out), "--json"]).stdout)
    assert document["coverage"]["characters_read"] == size


def test_files_with_nothing_to_read_are_left_out_and_bad_ones_are_skipped(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for name, content in (
        ("a.txt", b"hello"), ("blank.txt", b" \n"), ("empty.html", b""), ("empty.txt.gz", gzip.compress(b"")),
        ("comment.md", b"<!-- to do -->\n"), ("bad.txt", b"caf\xe9"), ("image.png", b"x"),
    ):  # fmt: skip
        (corpus / name).write_bytes(content)
    manifest = build(corpus, tmp_path / "b.lurcher", TinyOptions(skip_bad_lines=True, tokens=None))
    assert manifest.coverage is not None
    assert manifest.coverage.files_left_out == {
        ".html": 1, ".md": 1, ".png": 1, ".txt": 1, ".txt.gz": 1
    }  # fmt: skip
    assert (manifest.coverage.documents, manifest.figures.skipped_records) == (1, 1)


def test_a_corpus_that_is_one_file_has_one_kind(tmp_path: Path) -> None:
    corpus, out = tmp_path / "c.csv", tmp_path / "b.lurcher"
    corpus.write_text("id,text\na.txt,hello\nb.md,world\n")
    run = CliRunner().invoke(app, ["build", str(corpus), str(out), *BY_TINY])
    assert run.exit_code == 0, run.output
    found = read_manifest(out).coverage
    assert found is not None
    assert (found.passages_by_kind, found.files_left_out) == ({".csv": 2}, {})
    assert "2, of which 0 were split" in run.output


def test_kinds_of_files(tmp_path: Path) -> None:
    names = ("A.MD", "x.csv.gz", "a.b.html", "README", ".gz")
    assert [kind_of_file(name) for name in names] == [".md", ".csv.gz", ".html", "none", "none"]
    assert files_left_out(tmp_path / "nothing", []) == {}
