from __future__ import annotations

from pathlib import Path

import pytest

from lurcher.index_builder.corpus import ReadOptions, read_corpus
from lurcher.index_builder.corpus.encoding.declared import (
    declared_in_comment,
    declared_in_html,
    declared_in_xhtml,
)

XML = b'<?xml version="1.0" encoding="ISO-8859-2"?>'
META = b"<meta charset=gbk>"


@pytest.mark.parametrize(
    ("page", "name"),
    [
        (b'<meta charset="windows-1251">', "windows-1251"),
        (b"<META CHARSET=' Shift_JIS '/>", "shift_jis"),
        (b"<html><head><title>x</title><meta charset=big5></head>", "big5"),
        (b'<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1">', "windows-1252"),
        (b"<meta content='text/html; charset = \"euc-kr\"' http-equiv=content-type>", "euc-kr"),
        (b'<meta name=x content="text/html; charset=big5">', None),
        (b'<meta name="a>b" charset=koi8-r>', "koi8-r"),
        (b"<!-- <meta charset=big5> -->" + META, "gb18030"),
        (b"<!--><meta charset=big5> -->", "big5"),
        (b'<a title="<meta charset=big5>">' + META, "gb18030"),
        (b"<? <meta charset=big5 ?>" + META, "gb18030"),
        (b"<metal charset=big5>", None),
        (b"<meta charset=klingon><meta charset=big5>", "big5"),
        (b"<meta charset=utf-16>", "utf-8"),
        (b"<meta charset=x-user-defined>", "windows-1252"),
        (XML, "iso-8859-2"),
        (XML + META, "gb18030"),
        (b"<!-- " + b"long " * 1000 + b"-->" + META, "gb18030"),
        (b"<body " + b"a" * 2000 + b">" + META, None),
        (b"plain", None),
        (b"", None),
        (b"<meta", None),
        (b"<meta charset=", None),
        (b"<!--" + META, None),
    ],
)  # fmt: skip
def test_what_a_page_declares(page: bytes, name: str | None) -> None:
    found = declared_in_html(page)
    assert (found.name if found else None) == name


def test_in_xhtml_the_declaration_of_xml_comes_first() -> None:
    found = declared_in_xhtml(XML + META)
    assert found is not None
    assert found.name == "iso-8859-2"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b".. -*- coding: latin-1 -*-\n\nx", None),
        (b".. -*- coding: latin1 -*-\n\nx", "windows-1252"),
        (b"\n.. vim: set fileencoding=koi8-r :\n", "koi8-r"),
        (b"a\nb\n.. coding: koi8-r\n", None),
    ],
)
def test_what_a_comment_for_editors_declares(text: bytes, name: str | None) -> None:
    found = declared_in_comment(text)
    assert (found.name if found else None) == name


def test_pages_in_many_encodings(tmp_path: Path) -> None:
    pages = {
        "a.html": '<meta charset="windows-1252"><title>Été</title><p>à côté – “là”',
        "b.htm": '<meta http-equiv=Content-Type content="text/html;charset=iso-8859-1"><title>Été</title>‘x’',
        "c.html": "<meta charset=gb2312><title>家居</title>世界",
        "d.html": "<meta charset=shift_jis><title>日本</title>ソ",
        "e.xhtml": '<?xml version="1.0" encoding="iso-8859-2"?><title>Łódź</title>żółć',
    }
    codecs = ["cp1252", "cp1252", "gbk", "cp932", "iso8859-2"]
    for (name, page), codec in zip(pages.items(), codecs, strict=True):
        (tmp_path / name).write_bytes(page.encode(codec))
    found = [record.document for record in read_corpus(tmp_path)]
    assert [(document.title, document.text) for document in found if document] == [
        ("Été", "à côté – “là”"), ("Été", "‘x’"), ("家居", "世界"), ("日本", "ソ"), ("Łódź", "żółć"),
    ]  # fmt: skip


def test_the_option_overrules_what_a_page_declares(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_bytes("<meta charset=latin1>é".encode())
    (record,) = read_corpus(tmp_path, reading=ReadOptions("utf-8"))
    assert record.document is not None
    assert record.document.text == "é"


def test_an_encoding_that_browsers_refuse_is_not_taken_for_text(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_bytes(b"<meta charset=iso-2022-cn>\x1b$)A\x0eDc")
    (record,) = read_corpus(tmp_path)
    assert record.reason == "it declares the encoding iso-2022-cn, which browsers do not read"
