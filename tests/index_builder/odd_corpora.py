"""Strategies for corpora of every kind, with odd bytes and odd structure."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Iterable
from email.message import EmailMessage
from typing import Any, NamedTuple

import pyarrow
import pyarrow.parquet
from hypothesis import strategies as st

from lurcher.index_builder.corpus import FieldNames, ReadOptions

RECORDS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
TEXTS = (".txt", ".md", ".mdx", ".rst", ".html", ".htm", ".xhtml", ".ipynb", ".eml")

# These have comments, and a file of nothing else is no document.
HIDING = (".md", ".mdx", ".rst", ".ipynb")

# What readers stumble over, beside whatever hypothesis thinks of.
ODD = (
    '"', '""', "'", ",", "\t", ";", "\r", "\n", "\r\n", "\\", "\\u", "{", "}", "[", "]", "<", "<!--", "-->",
    "<pre>", "</body>", "<meta charset=gbk>", "```", "# ", "===", "\0", "\ufeff", "é", "“", "家", "😀",
    "=?utf-8?b?", "sep=;\n", "NaN", "1e999",
)  # fmt: skip
ODD_BYTES = (
    b"\xff", b"\xfe\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3", b"\xed\xa0\x80", b"\0", b"\x1f\x8b", b"\x81",
    b'"', b"\n", b"\r", b"{", b"}", b"[", b"]", b",", b"\\", b"<", b"\x1b$B", b"\t",
)  # fmt: skip
PIECE = st.sampled_from(ODD) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
# How a file is written, and the label that then has to be given.
CODECS: tuple[tuple[str, str | None], ...] = (
    ("utf-8", None), ("utf-8", None), ("utf-8-sig", None), ("utf-16", None), ("utf-16-be", "utf-16be"),
    ("gb18030", "gbk"), ("cp1252", "latin1"), ("cp932", "sjis"), ("iso2022_jp", "iso-2022-jp"),
)  # fmt: skip
TEXT = st.lists(PIECE, max_size=4).map("".join)
TOKEN = re.compile(rb"zq\d+x")


class Corpus(NamedTuple):
    suffix: str
    content: bytes
    intact: bool  # as its writer wrote it, in an encoding that a mark or the option tells
    options: ReadOptions


NAMES = [*[FieldNames()] * 4, FieldNames(text="title"), FieldNames(id="text")]


def as_csv(rows: Iterable[dict[str, str]], delimiter: str, quoting: Any) -> str:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, ["id", "title", "text"], delimiter=delimiter, quoting=quoting)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def as_parquet(rows: list[dict[str, str]]) -> bytes:
    out = io.BytesIO()
    columns = {name: [row[name] for row in rows] for name in ("id", "title", "text")}
    schema = pyarrow.schema([(name, pyarrow.string()) for name in columns])
    pyarrow.parquet.write_table(pyarrow.table(columns, schema), out)
    return out.getvalue()


def as_mail(row: dict[str, str]) -> bytes:
    mail = EmailMessage()
    mail["Subject"] = " ".join(row["title"].split())
    mail["From"] = "someone@example.org"
    mail.set_content(row["text"])
    return mail.as_bytes()


def as_notebook(rows: list[dict[str, str]]) -> str:
    cells = [
        {"cell_type": kind, "source": row["text"].splitlines(keepends=True)}
        for row, kind in zip(rows, ["markdown", "code", "raw"] * len(rows), strict=False)
    ]
    return json.dumps({"cells": cells, "nbformat": 4})


def written(suffix: str, rows: list[dict[str, str]], choice: int) -> str | bytes:
    """The rows as a file of this kind has them, in one of several styles."""
    match suffix:
        case ".jsonl":
            return "\n".join(json.dumps(row, ensure_ascii=choice % 2 == 0) for row in rows)
        case ".json" if choice == 0:
            return "\n".join(json.dumps(row, indent=1, ensure_ascii=False) for row in rows)
        case ".json":
            return json.dumps(rows, indent=choice - 1 or None)
        case ".csv":
            return as_csv(rows, ",", csv.QUOTE_ALL if choice % 2 else csv.QUOTE_MINIMAL)
        case ".tsv" if choice < 2:
            return as_csv(rows, "\t", csv.QUOTE_ALL if choice else csv.QUOTE_MINIMAL)
        case ".tsv":
            flat = ([re.sub(r"[\t\r\n]", " ", cell) for cell in row.values()] for row in rows)
            return "\n".join("\t".join(cells) for cells in [["id", "title", "text"], *flat])
        case ".parquet":
            return as_parquet(rows)
        case ".eml":
            return as_mail(rows[0])
        case ".ipynb":
            return as_notebook(rows)
        case ".html" | ".htm" | ".xhtml":
            escaped = (row["text"].replace("&", "&amp;").replace("<", "&lt;") for row in rows)
            return "<title>t</title>" + "".join(f"<p>{text}</p>" for text in escaped)
    return "\n\n".join(row["text"] for row in rows)


@st.composite
def changed(draw: st.DrawFn, content: bytes) -> bytes:
    """The content with bytes put in, taken out or replaced, or its end cut off."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(content)))
        width = draw(st.integers(0, 4) | st.just(len(content)))
        odd = draw(st.sampled_from((b"", *ODD_BYTES)) | st.binary(max_size=4))
        content = content[:at] + odd + content[at + width :]
    return content


@st.composite
def corpora(
    draw: st.DrawFn,
    suffixes: tuple[str, ...] = RECORDS + TEXTS,
    repeats: tuple[int, ...] = (1,),
    bad_ids: tuple[str, ...] = (),
) -> Corpus:
    """A corpus of one file; each text stands ``repeats`` times in its record.

    Some records have one of ``bad_ids``, blank ones or those of others, instead of their number.
    """
    suffix = draw(st.sampled_from(suffixes))
    texts = draw(st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=4))
    times = draw(st.sampled_from(repeats))
    ids = st.sampled_from([""] * (1 + len(bad_ids)) + [*bad_ids])
    rows = [
        {
            "id": draw(ids) or str(number),
            "title": title,
            "text": f"{before}zq{number}x{after}" * times,
        }
        for number, (title, before, after) in enumerate(texts)
    ]
    content = written(suffix, rows, draw(st.integers(0, 3)))
    label = None
    if isinstance(content, str):
        codec, label = draw(st.sampled_from(CODECS))
        content = content.encode(codec, "replace")
    intact = draw(st.booleans())
    if not intact:
        content = draw(changed(content))
        label = draw(st.sampled_from([label, label, None, "utf-8", "utf-16", "big5", "koi8-r"]))
    if suffix != ".parquet" and draw(st.integers(0, 4)) == 0:
        content = gzip.compress(content)
        if not intact and draw(st.booleans()):
            content = draw(changed(content))
    fields = draw(st.sampled_from(NAMES))
    delimiter = draw(st.sampled_from([None] * 6 + [";", "tab"]))
    options = ReadOptions(
        label if suffix != ".parquet" else None,
        delimiter if suffix in (".csv", ".tsv") and not intact else None,
        fields if suffix in RECORDS and not intact else FieldNames(),
    )
    return Corpus(suffix, content, intact, options)
