"""Lines of a file, plain or gzipped, each decoded by itself: a bad one spoils no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from lurcher.errors import CorpusError
from lurcher.index_builder.corpus.encoding.labels import UTF8, Encoding, fault
from lurcher.index_builder.corpus.encoding.streams import GZIP_ERRORS, open_utf8

# What one record may make the reader hold in memory. A passage of 1 MB is 6 MB where JSON
# escapes every character, so no real line comes near.
MAX_BYTES = 64 * 2**20

# What a bad record keeps of its line, in characters.
RAW = 1000


class Line(NamedTuple):
    """One line: its number from 1, its text with the line end, and why it cannot be used, if so.

    ``text`` of a line that is not valid in its encoding has its bad bytes as ``\\xff`` escapes. Where
    ``whole`` is false the line was too long and ``text`` is only its beginning.
    """

    number: int
    text: str
    fault: str | None = None
    whole: bool = True


def read_lines(
    path: Path, limit: int = MAX_BYTES, encoding: Encoding | None = None
) -> Iterator[Line]:
    """Every line of the file, in order; a line of ``limit`` bytes of UTF-8 or more has a fault.

    The file is in ``encoding``, by default UTF-8, unless it has a byte order mark, which tells. Raises
    CorpusError where the file cannot be read on.
    """
    number = 0
    try:
        stream, encoding = open_utf8(path, encoding)
        with stream:
            while raw := stream.readline(limit):
                number += 1
                if len(raw) == limit and not raw.endswith(b"\n"):
                    _skip_line(stream, limit)
                    start = raw[:RAW].decode(errors="backslashreplace")
                    yield Line(number, start, f"line has {limit:,} bytes or more", whole=False)
                else:
                    yield _decoded(number, raw, encoding)
    except GZIP_ERRORS as error:
        raise CorpusError(
            path, None, f"broken gzip somewhere after line {number}: {error}"
        ) from error
    except OSError as error:
        raise CorpusError(path, None, f"cannot be read: {error.strerror}") from error


def _skip_line(stream: BinaryIO, limit: int) -> None:
    while (rest := stream.readline(limit)) and not rest.endswith(b"\n"):
        pass


def _decoded(number: int, raw: bytes, encoding: Encoding) -> Line:
    try:
        text, reason = raw.decode(), None
    except UnicodeDecodeError as error:
        text = raw.decode(errors="backslashreplace")
        reason = fault(encoding, f"{_place(raw, error.start, encoding)} of the line")
    return Line(number, text.removeprefix("\ufeff") if number == 1 else text, reason)


def _place(raw: bytes, at: int, encoding: Encoding) -> str:
    # In another encoding nobody can count UTF-8's bytes.
    return f"byte {at}" if encoding == UTF8 else f"character {len(raw[:at].decode())}"
