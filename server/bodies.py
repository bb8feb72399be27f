"""From a request's body as it was sent to plain JSON: its media type, its charset, its compression."""

from __future__ import annotations

import re
import zlib
from email.message import Message

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

# What `json.loads` tells apart by itself, whatever the header says; ASCII is UTF-8, too.
_UNICODE = {
    "",
    "ascii",
    "usascii",
    "utf8",
    "utf16",
    "utf16le",
    "utf16be",
    "utf32",
    "utf32le",
    "utf32be",
}
# No others: some of Python's codecs take time with the square of the length.
_CHARSETS = {
    "iso88591": "iso-8859-1",
    "latin1": "iso-8859-1",
    "windows1252": "cp1252",
    "cp1252": "cp1252",
}

# `curl -d` names this type unless it is told another one.
_CURL_DEFAULT = "application/x-www-form-urlencoded"

_MOST_PARTS = 100_000
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)

_CODINGS = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}


def plain_json(headers: Headers) -> str:
    """Return the charset in which a body with these ``headers`` is JSON; empty for any of Unicode's.

    Raises the HTTPException for a type that is not read. A body without a type, or with the one that
    ``curl -d`` sends, is read as JSON, but not from a browser: these are the types that a page of another
    site may send without being asked for permission (CORS), and its requests carry ``Origin``.
    """
    given = headers.get("content-type", "")
    media_type = given.partition(";")[0].strip().lower()
    if media_type in ("", _CURL_DEFAULT):
        if "origin" in headers:
            raise _unread(f"a web page has to name the type of a body, not {media_type or 'none'}")
    elif not _is_json(media_type):
        raise _unread(f"{_short(media_type)} is not read")
    return _charset(given)


def coding_of(headers: Headers) -> str:
    """Return how a body with these ``headers`` is compressed: ``gzip``, ``deflate`` or empty for not at all.

    Raises the HTTPException for what is not read.
    """
    given = ",".join(headers.getlist("content-encoding"))
    codings = [one for one in (part.strip().lower() for part in given.split(",")) if one]
    codings = [one for one in codings if one != "identity"]
    if not codings:
        return ""
    if len(codings) > 1 or codings[0] not in _CODINGS:
        raise HTTPException(
            415,
            f"Content-Encoding: {_short(', '.join(codings))} is not read, gzip and deflate are",
            {"Accept-Encoding": "gzip, deflate"},
        )
    return _CODINGS[codings[0]]


def decoded(raw: bytes, coding: str, charset: str, limit: int) -> bytes:
    """Return ``raw`` decompressed and in Unicode. Raises HTTPException, also for over ``limit`` bytes."""
    body = inflate(raw, coding, limit) if coding and raw else raw
    if charset:
        try:
            body = body.decode(charset).encode()
        except UnicodeDecodeError as error:
            raise HTTPException(400, f"the body is not {charset} at byte {error.start}") from error
    _check_nesting(body)
    return body


def _check_nesting(body: bytes) -> None:
    """Raise HTTPException for more lists and objects than a request can have use for.

    The JSON parser keeps the interpreter to itself, in whatever thread it runs, and two bytes make a list: a
    megabyte of lists took 150 ms in which nobody was answered, one of texts takes 5.
    """
    if body.count(b"[") + body.count(b"{") > _MOST_PARTS:
        parts = _TEXT.sub(b"", body)
        if (found := parts.count(b"[") + parts.count(b"{")) > _MOST_PARTS:
            many = f"{found} lists and objects, at most {_MOST_PARTS} are read in one request"
            raise HTTPException(413, f"the body has {many}")


def inflate(raw: bytes, coding: str, limit: int) -> bytes:
    """Return ``raw`` decompressed, without ever holding more than one byte over ``limit``.

    Raises HTTPException: 413 for more; 400 for what is not compressed so, ends too early or goes on.
    """
    stream = zlib.decompressobj(_window(raw, coding))
    try:
        body = stream.decompress(raw, limit + 1)
    except zlib.error as error:
        raise HTTPException(400, f"the body is not {coding}: {error}") from error
    if len(body) > limit:
        raise HTTPException(413, f"the body is larger than {limit} bytes when decompressed")
    if not stream.eof:
        raise HTTPException(400, f"the body ends before its {coding} does")
    if stream.unused_data:
        raise HTTPException(400, f"the body goes on after its {coding} has ended")
    return body


def _window(raw: bytes, coding: str) -> int:
    """Return the ``wbits`` of zlib. Before deflate stand zlib's two bytes, which many clients leave out."""
    if coding == "gzip":
        return 16 + zlib.MAX_WBITS
    has_header = len(raw) > 1 and raw[0] & 0x0F == 8 and (raw[0] << 8 | raw[1]) % 31 == 0
    return zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS


def _is_json(media_type: str) -> bool:
    return media_type in ("application/json", "text/json") or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )


def _charset(content_type: str) -> str:
    """Return the charset that ``content_type`` names, or empty for Unicode. Raises HTTPException."""
    if ";" not in content_type:  # most name none, and reading a header takes a while
        return ""
    header = Message()
    header["content-type"] = content_type
    given = str(header.get_param("charset", ""))
    name = given.lower().replace("-", "").replace("_", "")
    if name in _UNICODE:
        return ""
    if name not in _CHARSETS:
        raise _unread(f"charset {_short(given)} is not read, UTF-8 is")
    return _CHARSETS[name]


def _unread(reason: str) -> HTTPException:
    detail = f"{reason}: send JSON with the header Content-Type: application/json"
    return HTTPException(415, detail, {"Accept-Post": "application/json"})


def _short(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:100]}…"
