"""The encoding that a file declares in its own text."""

from __future__ import annotations

import re

from lurcher.index_builder.corpus.encoding.labels import UTF8, Encoding, encoding_of

# Browsers look for a declaration in the first 1,024 bytes, and go on to find it while they parse the head.
_PRESCAN = 1024
_HEAD = 2**16

_BODY = re.compile(rb"<body[\s/>]", re.IGNORECASE)
_TOKEN = re.compile(rb"<!--|<(meta)(?=[\s/])|</?[a-z][^\s/>]*+|<[!/?]", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    rb"""[\s/]*+([^\s/>][^\s/>=]*+)\s*+(?:=\s*+("[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z)|[^\s>]*+))?"""
)
_CHARSET = re.compile(rb"""charset\s*=\s*("[^"]*+"|'[^']*+'|[^\s;"']++)""", re.IGNORECASE)
_XML = re.compile(rb"""<\?xml\s[^>]*?encoding\s*+=\s*+["']([^"'>]*+)["']""")
_CODING = re.compile(rb"^[^\n]*+(?:\n[^\n]*+)?")
_CODING_NAME = re.compile(rb"coding[:=]\s*([-\w.]+)")

_UNREAD = frozenset({"iso-2022-cn", "iso-2022-cn-ext", "iso-2022-kr", "hz-gb-2312"})


class UnreadEncoding(Exception):
    """The file declares an encoding that nobody reads any more; the message is its label."""


def declared_in_html(raw: bytes) -> Encoding | None:
    """The encoding in a page's ``meta`` elements, else in its XML declaration, as browsers find it."""
    return _first([*_meta_labels(raw), *_xml_labels(raw)])


def declared_in_xhtml(raw: bytes) -> Encoding | None:
    """The encoding in an XML document's declaration, else in its ``meta`` elements."""
    return _first([*_xml_labels(raw), *_meta_labels(raw)])


def declared_in_comment(raw: bytes) -> Encoding | None:
    """The encoding in a comment for editors (``coding: latin-1``) in one of the first two lines."""
    start = _CODING.match(raw[:_PRESCAN])
    name = _CODING_NAME.search(start[0]) if start else None
    return _first([name[1]] if name else [])


def _first(labels: list[bytes]) -> Encoding | None:
    """The encoding of the first label that is known. Raises UnreadEncoding."""
    for label in labels:
        text = label.decode("latin-1").strip().lower()
        if text in _UNREAD:
            raise UnreadEncoding(text)
        encoding = encoding_of(text)
        if encoding is not None:
            # What was read to get here was no UTF-16.
            return UTF8 if encoding.name.startswith("utf-16") else encoding
    return None


def _xml_labels(raw: bytes) -> list[bytes]:
    declaration = _XML.match(raw[:_PRESCAN].removeprefix(b"\xef\xbb\xbf"))
    return [declaration[1]] if declaration else []


def _meta_labels(raw: bytes) -> list[bytes]:
    """The labels in ``meta`` elements, in order; tags and comments are passed over as browsers do."""
    body = _BODY.search(raw, 0, _HEAD)
    head = raw[: max(_PRESCAN, body.start() if body else _HEAD)]
    labels = []
    at = 0
    while token := _TOKEN.search(head, at):
        at = token.end()
        if token[0] == b"<!--":
            # The dashes that open a comment may be those that close it.
            end = head.find(b"-->", token.start() + 2)
            at = end + 3 if end >= 0 else len(head)
        elif token[0] in (b"<!", b"</", b"<?"):
            end = head.find(b">", at)
            at = end + 1 if end >= 0 else len(head)
        else:
            at, attributes = _attributes(head, at)
            if token[1] and (label := _label(attributes)):
                labels.append(label)
    return labels


def _attributes(head: bytes, at: int) -> tuple[int, dict[bytes, bytes]]:
    """Where the tag's attributes end, and the first value of each."""
    found: dict[bytes, bytes] = {}
    while attribute := _ATTRIBUTE.match(head, at):
        value = attribute[2] or b""
        found.setdefault(attribute[1].lower(), value.strip(value[:1]) if _quoted(value) else value)
        at = attribute.end()
    return at, found


def _quoted(value: bytes) -> bool:
    return value[:1] in (b'"', b"'")


def _label(attributes: dict[bytes, bytes]) -> bytes | None:
    if b"charset" in attributes:
        return attributes[b"charset"]
    if attributes.get(b"http-equiv", b"").lower() != b"content-type":
        return None
    named = _CHARSET.search(attributes.get(b"content", b""))
    return named[1].strip(b"\"'") if named else None
