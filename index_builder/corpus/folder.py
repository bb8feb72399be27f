"""A folder of text, Markdown and HTML files, each of them a document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.corpus.html_text import read_html
from lurcher.index_builder.corpus.lines import MAX_BYTES
from lurcher.index_builder.corpus.markdown import read_markdown
from lurcher.index_builder.corpus.markup import Markup
from lurcher.index_builder.corpus.passage import BadRecord, document_of
from lurcher.index_builder.corpus.records import Record
from lurcher.index_builder.corpus.rst import read_rst
from lurcher.index_builder.corpus.xhtml import to_html


def read_folder(root: Path, files: list[Path], limit: int = MAX_BYTES) -> Iterator[Record]:
    """The documents in ``files``, in order; a file that cannot be used is one bad record.

    A document's id is its path below ``root``. A file without words is none.
    """
    for file in files:
        source = file.relative_to(root).as_posix()
        try:
            markup = _markup(file, limit)
            if markup.is_read():
                title = markup.title or file.stem
                fields = {"id": source, "title": title, "text": markup.text}
                yield Record(file, None, _structured(fields, source, markup))
        except BadRecord as error:
            yield Record(file, None, reason=str(error))


def _structured(fields: dict[str, Any], source: str, markup: Markup) -> Document:
    return replace(
        document_of(fields, {"source": source}),
        sections=markup.sections,
        blocks=markup.blocks,
        hidden=markup.hidden,
    )


def _markup(file: Path, limit: int) -> Markup:
    content = _content(file, limit)
    match file.suffix.lower():
        case ".html" | ".htm":
            return read_html(content)
        case ".xhtml":
            return read_html(to_html(content))
        case ".md":
            return read_markdown(content)
        case ".mdx":
            return read_markdown(content, mdx=True)
        case ".rst":
            return read_rst(content)
        case _:
            return Markup("", content)


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
