"""A text file as a string, whatever its encoding, and whether or not it is gzipped."""

from __future__ import annotations

from pathlib import Path

from lurcher.index_builder.corpus.encoding.labels import (
    BAD_BYTES,
    UTF8,
    Encoding,
    encoding_of_mark,
    fault,
)
from lurcher.index_builder.corpus.encoding.streams import GZIP_ERRORS, open_plain
from lurcher.index_builder.corpus.passage import BadRecord


def read_bytes(file: Path, limit: int) -> bytes:
    """The file's bytes, unzipped. Raises BadRecord if it cannot be read or has ``limit`` bytes or more."""
    try:
        with open_plain(file) as stream:
            raw = stream.read(limit)
    except GZIP_ERRORS as error:
        raise BadRecord(f"broken gzip: {error}") from None
    except OSError as error:
        raise BadRecord(f"cannot be read: {error.strerror}") from None
    if len(raw) == limit:
        raise BadRecord(f"the file has {limit:,} bytes or more; split it into several")
    return raw


def decode(raw: bytes, encoding: Encoding | None, what: str = "file") -> str:
    """The text, without its byte order mark; the mark tells the encoding, else ``encoding``, else UTF-8.

    Raises BadRecord where the bytes of the ``what`` are not valid in it.
    """
    encoding = encoding_of_mark(raw) or encoding or UTF8
    if encoding == UTF8:
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            raise BadRecord(fault(UTF8, f"byte {error.start} of the {what}")) from None
    else:
        text = raw.decode(encoding.codec, BAD_BYTES)
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise BadRecord(fault(encoding, f"character {error.start} of the {what}")) from None
    if text.count("\0") * 3 > len(text):
        raise BadRecord(
            f"a third of the {what} or more is NUL characters; if it is UTF-16, give --encoding utf-16le"
        )
    return text.removeprefix("\ufeff")
