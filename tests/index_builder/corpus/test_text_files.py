from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lurcher.errors import CorpusError
from lurcher.index_builder.corpus import bundle_name, corpus_files, read_corpus
from lurcher.index_builder.corpus.texts.tree import text_files


@pytest.mark.parametrize(
    ("name", "content", "title", "text"),
    [
        ("a.txt", "plain", "a", "plain"),
        ("a.mdx", "import X\n\n# Title\n\n<X />", "Title", "import X\n\n# Title\n\n<X />"),
        ("a.rst", "Title\n=====\n\nText", "Title", "Title\n=====\n\nText"),
        ("a.rst", "====\nOver\n====\n\nText", "Over", "====\nOver\n====\n\nText"),
        ("a.rst", ".. note\n\nno title\n==\n\n  a\n  --", "a", None),
        ("a.xhtml", "<html><head><title>T</title></head><body><p>x</p></body></html>", "T", "x"),
    ],
)
@pytest.mark.parametrize("zipped", ["", "inside", "named"])
def test_a_text_file_alone_and_in_a_folder(
    tmp_path: Path, name: str, content: str, title: str, text: str | None, zipped: str
) -> None:
    path = tmp_path / (f"{name}.gz" if zipped == "named" else name)
    path.write_bytes(gzip.compress(content.encode()) if zipped else content.encode())
    assert corpus_files(path) == corpus_files(tmp_path) == [path]
    (record,) = read_corpus(path)
    assert list(read_corpus(tmp_path)) == [record]
    assert record.document is not None
    assert record.document.id == path.name
    assert (record.document.title, record.document.text) == (
        title,
        content if text is None else text,
    )


def test_a_text_file_that_breaks_off_is_one_bad_record(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(gzip.compress(b"a text")[:-4])
    (tmp_path / "b.txt").write_text("b")
    bad, good = read_corpus(tmp_path)
    assert bad.file == tmp_path / "a.txt"
    assert bad.reason is not None
    assert bad.reason.startswith("broken gzip: ")
    assert good.document is not None


def test_a_folder_that_cannot_be_listed_is_one_bad_record(tmp_path: Path) -> None:
    for name in ("a/x.txt", "b/y.txt", "z.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")

    @contextmanager
    def scan(folder: Path) -> Iterator[Iterator[os.DirEntry[str]]]:
        if folder.name == "a":
            raise PermissionError(13, "Permission denied")
        with os.scandir(folder) as listing:
            yield listing

    files, (fault,) = text_files(tmp_path, scan)
    assert files == [tmp_path / "b/y.txt", tmp_path / "z.txt"]
    assert (fault.file, fault.reason) == (tmp_path / "a", "cannot be read: Permission denied")


def test_a_corpus_that_cannot_be_listed_is_refused(tmp_path: Path) -> None:
    def scan(folder: Path) -> Iterator[os.DirEntry[str]]:
        raise PermissionError(13, "Permission denied", str(folder))

    with pytest.raises(PermissionError):
        text_files(tmp_path, scan)  # type: ignore[arg-type] # it fails before it returns anything


@pytest.mark.parametrize(
    ("corpus", "name"),
    [
        ("wiki.en.jsonl", "wiki.en"),
        ("wiki.de.jsonl.gz", "wiki.de"),
        ("a.b.PARQUET", "a.b"),
        ("notes.v2.txt", "notes.v2"),
        ("v1.2.md.GZ", "v1.2"),
        ("plain.json", "plain"),
    ],
)
def test_bundles_are_named_after_their_corpus(tmp_path: Path, corpus: str, name: str) -> None:
    (tmp_path / corpus).touch()
    assert bundle_name(tmp_path / corpus) == name


def test_a_bundle_of_a_folder_has_its_whole_name(tmp_path: Path) -> None:
    folder = tmp_path / "docs.v1.md"
    folder.mkdir()
    assert bundle_name(folder) == "docs.v1.md"


def test_nothing_to_read_names_what_is_read(tmp_path: Path) -> None:
    with pytest.raises(
        CorpusError, match=r"\.eml, \.htm, \.html, \.ipynb, \.md, \.mdx, \.rst, \.txt, \.xhtml"
    ):
        read_corpus(tmp_path)
