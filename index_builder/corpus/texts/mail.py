"""Mails (RFC 5322): their headers, and their text without attachments."""

from __future__ import annotations

import email
import email.policy
import re
from contextlib import suppress
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from lurcher.index_builder.corpus.encoding.declared import declared_in_html
from lurcher.index_builder.corpus.encoding.file import decode
from lurcher.index_builder.corpus.encoding.labels import UTF8, Encoding, encoding_of
from lurcher.index_builder.corpus.passage import BadRecord

# Python takes time with the square of these; RFC 5322 allows lines of 998.
_MAX_HEADER = 16_384
_PARAMETERS = re.compile(
    rb"^content-(?:type|disposition):(?:[^\n]++|\n(?=[ \t]))*+", re.IGNORECASE | re.MULTILINE
)

_HEADERS = ("from", "to", "cc", "date")


class Part(NamedTuple):
    """A text of a mail, and whether it is HTML."""

    text: str
    html: bool


class Mail(NamedTuple):
    """A mail's subject, its headers as metadata, and its texts in order."""

    subject: str
    headers: dict[str, str]
    parts: list[Part]


def read_mail(raw: bytes, encoding: Encoding | None) -> Mail:
    """The mail: of alternatives the plain text, without attachments.

    Texts that do not tell their encoding are in ``encoding``, by default UTF-8. The date is in ISO format
    where it is valid, else as it stands. Raises BadRecord.
    """
    if any(len(header[0]) > _MAX_HEADER for header in _PARAMETERS.finditer(raw)):
        raise BadRecord(
            f"a Content-Type or Content-Disposition has more than {_MAX_HEADER:,} bytes"
        )
    try:
        # Newer policies raise still more on headers that are not valid.
        message = email.message_from_bytes(raw, policy=email.policy.compat32)
        headers = {name: _header(message, name, encoding) for name in ("subject", *_HEADERS)}
        parts = [_text(part, encoding) for part in _texts(message)]
    except RecursionError:
        raise BadRecord("parts of the mail are nested too deep") from None
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        # What Python's parser raises on parameters and encodings that nobody wrote by hand.
        reason = " ".join(str(error).split())
        raise BadRecord(f"not a mail that can be read: {reason}") from None
    if not any(headers.values()):
        raise BadRecord("not a mail: it has no From, To, Cc, Date or Subject")
    if not parts:
        raise BadRecord("the mail has no part that is text; attachments are not read")
    headers["date"] = _date(headers["date"])
    subject = headers.pop("subject")
    return Mail(subject, {name: text for name, text in headers.items() if text}, parts)


def _texts(message: Message) -> list[Message]:
    """The parts to read; of alternatives the first plain one, else the last one that has text."""
    if message.is_multipart():
        choices = [_texts(part) for part in message.get_payload() if isinstance(part, Message)]
        if message.get_content_type() != "multipart/alternative":
            return [part for choice in choices for part in choice]
        filled = [c for c in choices if any(str(part.get_payload()).strip() for part in c)]
        plain = (c for c in filled if c[0].get_content_type() == "text/plain")
        return next(plain, filled[-1] if filled else [])
    attached = message.get_content_disposition() == "attachment"
    return [message] if message.get_content_maintype() == "text" and not attached else []


def _text(part: Message, encoding: Encoding | None) -> Part:
    label = part.get_param("charset")
    declared = encoding_of(label) if isinstance(label, str) else None
    if isinstance(label, str) and label.lower() in ("us-ascii", "ascii"):
        declared = None  # most mails that say so and are not are UTF-8
    payload = part.get_payload(decode=True)
    raw = payload if isinstance(payload, bytes) else b""
    html = part.get_content_type() == "text/html"
    if html and declared is None:
        declared = declared_in_html(raw)
    text = decode(raw, encoding or declared, "mail's text")
    return Part(text.replace("\r\n", "\n"), html)


def _header(message: Message, name: str, encoding: Encoding | None) -> str:
    """The header's text in one line, "" without one; what is not valid in it stays as it stands."""
    values = (str(value) for key, value in message.raw_items() if key.lower() == name)
    # The parser has made surrogates of bytes beyond ASCII.
    raw = next(values, "").encode(errors="surrogateescape")
    text = raw.decode(encoding.codec if encoding else "utf-8", errors="replace")
    if any(len(line) > _MAX_HEADER for line in text.splitlines()):
        return " ".join(text.split())
    with suppress(HeaderParseError, ValueError):
        text = "".join(_piece(piece, label) for piece, label in decode_header(text))
    return " ".join(text.split())


def _piece(piece: str | bytes, label: str | None) -> str:
    if isinstance(piece, str):
        return piece
    if label is None:
        return piece.decode("raw-unicode-escape")
    return piece.decode((encoding_of(label) or UTF8).codec, errors="replace")


def _date(text: str) -> str:
    try:
        return parsedate_to_datetime(text).isoformat()
    except (TypeError, ValueError, OverflowError):
        return text
