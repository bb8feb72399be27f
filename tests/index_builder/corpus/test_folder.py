from __future__ import annotations

from pathlib import Path

import pytest

from lurcher.index_builder.corpus import read_corpus
from lurcher.index_builder.corpus.document import Document, Section
from lurcher.index_builder.corpus.texts.folder import read_folder


def test_each_kind_of_file(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a.TXT").write_bytes(b"\xef\xbb\xbf plain  text\r\n")
    (tmp_path / "b/c.md").write_text("intro\n\n# Title #\n\nbody", encoding="utf-8")
    (tmp_path / "b/d.htm").write_text("<title>T</title><p>x</p>", encoding="utf-8")
    (tmp_path / "b/e.html").write_text("<p>y</p>", encoding="utf-8")
    found = [record.document for record in read_corpus(tmp_path)]
    assert found == [
        Document("a.TXT", " plain  text\r\n", "a", {"source": "a.TXT"}),
        Document(
            "b/c.md",
            "intro\n\n# Title #\n\nbody",
            "Title",
            {"source": "b/c.md"},
            sections=(Section(0, ()), Section(7, (), "title")),
        ),
        Document("b/d.htm", "x", "T", {"source": "b/d.htm"}),
        Document("b/e.html", "y", "e", {"source": "b/e.html"}),
    ]


@pytest.mark.parametrize(
    ("markdown", "title"),
    [
        ("# One\n# Two\n", "One"),
        ("text\n   ### C#\n", "C#"),
        ("## Closed ##  \n", "Closed"),
        ("#no space\n\n# Yes", "Yes"),
        ("#\n# ##\n# Third", "Third"),
        ("```sh\n# comment\n```\n# Real\n", "Real"),
        ("~~~~\n~~~\n# comment\n~~~~\n# Real\n", "Real"),
        ("Underlined\r\n===\r\n", "Underlined"),
        ("\n===\nplain", "stem"),
        ("    # code\n", "stem"),
    ],
)
def test_the_title_of_markdown(tmp_path: Path, markdown: str, title: str) -> None:
    (tmp_path / "stem.md").write_bytes(markdown.encode())
    (record,) = read_corpus(tmp_path)
    assert record.document is not None
    assert record.document.title == title
    assert record.document.text == markdown


def test_a_file_that_is_no_utf8_is_one_bad_record(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"good\nb\xe9d\n")
    (tmp_path / "b.txt").write_bytes(b"fine")
    bad, good = read_corpus(tmp_path)
    assert (bad.file, bad.line) == (tmp_path / "a.txt", None)
    assert bad.reason == (
        "not valid UTF-8 at byte 6 of the file; if it has another encoding, give --encoding"
    )
    assert good.document is not None


def test_a_file_too_large_to_hold(tmp_path: Path) -> None:
    files = [tmp_path / "a.txt", tmp_path / "b.txt"]
    files[0].write_bytes(b"12345678")
    files[1].write_bytes(b"1234567")
    bad, good = read_folder(tmp_path, files, limit=8)
    assert (bad.file, bad.line) == (files[0], None)
    assert bad.reason == "the file has 8 bytes or more; split it into several"
    assert good.document is not None


def test_a_file_that_goes_away_is_one_bad_record(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a")
    (tmp_path / "b.txt").write_bytes(b"b")
    records = read_corpus(tmp_path)
    (tmp_path / "a.txt").unlink()
    bad, good = records
    assert (bad.file, bad.line) == (tmp_path / "a.txt", None)
    assert bad.reason == "cannot be read: No such file or directory"
    assert good.document is not None


def test_a_path_too_long_for_an_id_is_one_bad_record(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 250) / ("e" * 250)
    deep.mkdir(parents=True)
    (deep / "long-name.txt").write_bytes(b"one two three")
    (bad,) = read_corpus(tmp_path)
    assert (bad.file, bad.line) == (deep / "long-name.txt", None)
    assert bad.reason == "id has 515 bytes of UTF-8; the most is 512"


def test_a_file_name_that_is_no_utf8_is_one_bad_record(tmp_path: Path) -> None:
    name = b"\xff.txt".decode(errors="surrogateescape")
    try:
        (tmp_path / name).write_bytes(b"one two")
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    (bad,) = read_corpus(tmp_path)
    assert bad.reason == "id holds a lone surrogate, which is not valid Unicode"


def test_a_file_without_words_has_no_passage(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b" \n")
    (tmp_path / "b.html").write_bytes(b"<title>only</title>")
    (tmp_path / "c.md").write_bytes(b"---\ntitle: only\n---\n\n<!-- hidden -->\n")
    assert list(read_corpus(tmp_path)) == []
