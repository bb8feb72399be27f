from __future__ import annotations

import gzip
import os
import re
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from lurcher.errors import CorpusError
from lurcher.index_builder.corpus import corpus_files, read_corpus
from lurcher.index_builder.corpus.document import Document

JSONL = b'{"id": "1", "text": "t"}\n'
EXPECTED = [Document("1", "t")]


def refused(path: Path) -> CorpusError:
    """The error of a corpus that is refused before any record is asked for, by both functions."""
    with pytest.raises(CorpusError) as caught:
        read_corpus(path)
    with pytest.raises(CorpusError, match=f"^{re.escape(str(caught.value))}$"):
        corpus_files(path)
    return caught.value


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.jsonl", JSONL),
        ("c.NDJSON", JSONL),
        ("c.json", JSONL),
        ("c.csv", b"id,text\n1,t\n"),
        ("c.tsv", b"id\ttext\n1\tt\n"),
    ],
)
def test_gzip_is_told_by_content_and_kind_by_name(
    tmp_path: Path, name: str, content: bytes
) -> None:
    for path, data in (
        (tmp_path / name, content),
        (tmp_path / f"{name}.gz", gzip.compress(content)),
        (tmp_path / f"plain-{name}.gz", content),
        (tmp_path / f"zipped-{name}", gzip.compress(content)),
    ):
        path.write_bytes(data)
        assert corpus_files(path) == [path]
        assert [record.document for record in read_corpus(path)] == EXPECTED


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"id": ["1"], "text": ["t"]}), path)
    assert [record.document for record in read_corpus(path)] == EXPECTED


@pytest.mark.parametrize("name", ["corpus.jsonl", "corpus.jsonl.gz"])
def test_a_beir_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(JSONL)
    (tmp_path / "queries.jsonl").write_bytes(b"not read")
    (tmp_path / "readme.md").write_bytes(b"not read")
    assert corpus_files(tmp_path) == [tmp_path / name]
    assert [record.document for record in read_corpus(tmp_path)] == EXPECTED


def test_files_of_a_folder_are_sorted_by_path(tmp_path: Path) -> None:
    names = ["a/z.txt", "a-b.md", "b.HTML", "a/b/c.htm", ".hidden.txt", ".git/x.txt", "c.pdf", "d"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.txt").mkdir()
    assert corpus_files(tmp_path) == [
        tmp_path / name for name in ("a-b.md", "a/b/c.htm", "a/z.txt", "b.HTML")
    ]


def test_links_that_leave_the_folder_are_not_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "secret.txt").write_bytes(b"secret")
    (root / "real.txt").write_bytes(b"real")
    (root / "inside.txt").symlink_to("real.txt")
    (root / "out.txt").symlink_to(outside / "secret.txt")
    (root / "away").symlink_to(outside)
    (root / "broken.txt").symlink_to("nowhere.txt")
    (root / "loop.txt").symlink_to("loop.txt")
    (root / "up").symlink_to(root)
    assert corpus_files(root) == [root / "inside.txt", root / "real.txt"]
    (tmp_path / "alias").symlink_to(root)
    alias = tmp_path / "alias"
    assert corpus_files(alias) == [alias / "inside.txt", alias / "real.txt"]


def test_no_such_path(tmp_path: Path) -> None:
    error = refused(tmp_path / "none")
    assert (error.file, error.line) == (tmp_path / "none", None)
    assert error.reason == "cannot be read: No such file or directory"


@pytest.mark.parametrize(
    ("name", "kind"), [("c.pdf", "'.pdf'"), ("c.xml.gz", "'.xml'"), ("corpus", "'corpus'")]
)
def test_an_unknown_kind(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    error = refused(tmp_path / name)
    assert (error.file, error.line) == (tmp_path / name, None)
    assert error.reason.startswith(f"unknown kind {kind}; a corpus file is one of .jsonl, .ndjson,")


def test_a_folder_with_nothing_known(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_bytes(b"id,text\n")
    (tmp_path / "corpus.jsonl").mkdir()
    error = refused(tmp_path)
    assert (error.file, error.line) == (tmp_path, None)
    assert error.reason.startswith(
        "no corpus.jsonl in this folder, and no .eml, .htm, .html, .ipynb,"
    )


def test_neither_a_file_nor_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "c.jsonl")
    assert refused(tmp_path / "c.jsonl").reason == "neither a file nor a folder"


def test_two_readings_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(JSONL + b"bad\n" + JSONL)
    assert list(read_corpus(path)) == list(read_corpus(path))
