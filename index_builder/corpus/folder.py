"""A folder of text, Markdown and HTML files, each of them a document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from lurcher.index_builder.corpus.html_text import extract
from lurcher.index_builder.corpus.lines import MAX_BYTES
from lurcher.index_builder.corpus.passage import BadRecord, document_of
from lurcher.index_builder.corpus.records import Record

_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_HASHES = re.compile(r" {0,3}#{1,6}[ \t]+")
_UNDERLINE = re.compile(r" {0,3}=+[ \t]*$")


def read_folder(root: Path, files: list[Path], limit: int = MAX_BYTES) -> Iterator[Record]:
    """The documents in ``files``, in order; a file that cannot be used is one bad record.

    A document's id is its path below ``root``. A file without words is none.
    """
    for file in files:
        source = file.relative_to(root).as_posix()
        try:
            title, text = _title_and_text(file, limit)
            if text.strip():
                fields = {"id": source, "title": title, "text": text}
                yield Record(file, None, document_of(fields, {"source": source}))
        except BadRecord as error:
            yield Record(file, None, reason=str(error))


def _title_and_text(file: Path, limit: int) -> tuple[str, str]:
    content = _content(file, limit)
    match file.suffix.lower():
        case ".html" | ".htm":
            title, text = extract(content)
        case ".md":
            title, text = _first_heading(content), content
        case _:
            title, text = "", content
    return title or file.stem, text


def _content(file: Path, limit: int) -> str:
    try:
        with file.open("rb") as stream:
            raw = stream.read(limit)
    except OSError as error:
        raise BadRecord(f"cannot be read: {error.strerror}") from None
    if len(raw) == limit:
        raise BadRecord(f"the file has {limit:,} bytes or more; split it into several")
    try:
        return raw.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise BadRecord(f"not valid UTF-8 at byte {error.start} of the file") from None


def _first_heading(markdown: str) -> str:
    """The first heading (``#`` or underlined with ``=``) that is not inside a block of code."""
    fence, before = "", ""
    for line in markdown.splitlines():
        mark = _FENCE.match(line)
        if fence:
            # A block closes with the mark that opened it, at least as long.
            if mark and mark[1].startswith(fence):
                fence = ""
        elif mark:
            fence = mark[1]
        elif heading := _hash_heading(line):
            return heading
        elif _UNDERLINE.match(line) and before.strip():
            return before.strip()
        before = line
    return ""


def _hash_heading(line: str) -> str:
    hashes = _HASHES.match(line)
    if not hashes:
        return ""
    heading = line[hashes.end() :].strip()
    bare = heading.rstrip("#")
    # Closing hashes stand apart; those of "C#" belong to the word.
    return bare.rstrip() if not bare or bare[-1].isspace() else heading
