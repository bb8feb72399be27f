"""The kinds of text files, told by suffix, and how each becomes a text with its structure.

To add one, write a function from a file's bytes to its content and give its suffixes in ``TEXT_KINDS``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from lurcher.index_builder.corpus.encoding.declared import (
    UnreadEncoding,
    declared_in_comment,
    declared_in_html,
    declared_in_xhtml,
)
from lurcher.index_builder.corpus.encoding.file import decode, read_bytes
from lurcher.index_builder.corpus.encoding.labels import Encoding
from lurcher.index_builder.corpus.html.page import read_html
from lurcher.index_builder.corpus.html.xhtml import to_html
from lurcher.index_builder.corpus.markdown.structure import read_markdown
from lurcher.index_builder.corpus.markup import Markup
from lurcher.index_builder.corpus.passage import BadRecord
from lurcher.index_builder.corpus.texts.mail import read_mail
from lurcher.index_builder.corpus.texts.notebook import notebook_markdown
from lurcher.index_builder.corpus.texts.rst import read_rst


class Content(NamedTuple):
    """What a text file holds; the title is "" where it tells none."""

    markup: Markup
    metadata: dict[str, Any]


_Reader = Callable[[bytes, Encoding | None], Content]


def read_text_file(file: Path, encoding: Encoding | None, limit: int) -> Content:
    """The file's text; the title is its name where the file tells none.

    ``encoding`` overrules what the file declares. Raises BadRecord, also where there are ``limit`` bytes.
    """
    try:
        content = TEXT_KINDS[kind_suffix(file)](read_bytes(file, limit), encoding)
    except UnreadEncoding as error:
        raise BadRecord(f"it declares the encoding {error}, which browsers do not read") from None
    if content.markup.title:
        return content
    return content._replace(markup=replace(content.markup, title=_stem(file)))


def kind_suffix(file: Path) -> str:
    """The suffix, in lower case, that tells a file's kind; ``.gz`` after it does not count."""
    return Path(file.name.lower().removesuffix(".gz")).suffix


def _stem(file: Path) -> str:
    return Path(file.stem).stem if file.suffix.lower() == ".gz" else file.stem


def _plain(raw: bytes, encoding: Encoding | None) -> Content:
    return Content(Markup("", decode(raw, encoding)), {})


def _markdown(raw: bytes, encoding: Encoding | None) -> Content:
    return Content(read_markdown(decode(raw, encoding)), {})


def _mdx(raw: bytes, encoding: Encoding | None) -> Content:
    return Content(read_markdown(decode(raw, encoding), mdx=True), {})


def _html(raw: bytes, encoding: Encoding | None) -> Content:
    return Content(read_html(decode(raw, encoding or declared_in_html(raw))), {})


def _xhtml(raw: bytes, encoding: Encoding | None) -> Content:
    return Content(read_html(to_html(decode(raw, encoding or declared_in_xhtml(raw)))), {})


def _restructured(raw: bytes, encoding: Encoding | None) -> Content:
    return Content(read_rst(decode(raw, encoding or declared_in_comment(raw))), {})


def _notebook(raw: bytes, encoding: Encoding | None) -> Content:
    return Content(read_markdown(notebook_markdown(decode(raw, encoding))), {})


def _mail(raw: bytes, encoding: Encoding | None) -> Content:
    mail = read_mail(raw, encoding)
    texts = [read_html(part.text).text if part.html else part.text for part in mail.parts]
    return Content(Markup(mail.subject, "\n\n".join(texts)), dict(mail.headers))


TEXT_KINDS: dict[str, _Reader] = {
    ".txt": _plain,
    ".md": _markdown,
    ".mdx": _mdx,
    ".rst": _restructured,
    ".html": _html,
    ".htm": _html,
    ".xhtml": _xhtml,
    ".ipynb": _notebook,
    ".eml": _mail,
}
