"""Lines of a file, plain or gzipped, each decoded by itself: a bad one spoils no other."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from lurcher.errors import CorpusError

# What one record may make the reader hold in memory. A passage of 1 MB is 6 MB where JSON
# escapes every character, so no real line comes near.
MAX_BYTES = 64 * 2**20

# What a bad record keeps of its line, in characters.
RAW = 1000

_GZIP = b"\x1f\x8b"


class Line(NamedTuple):
    """One line: its number from 1, its text with the line end, and why it cannot be used, if so.

    ``text`` of a line that is no UTF-8 has its bad bytes as ``\\xff`` escapes. Where ``whole`` is
    false the line was too long and ``text`` is only its beginning.
    """

    number: int
    text: str
    fault: str | None = None
    whole: bool = True


def read_lines(path: Path, limit: int = MAX_BYTES) -> Iterator[Line]:
    """Every line of the file, in order; a line of ``limit`` bytes or more has a fault.

    Raises CorpusError where the file cannot be read on.
    """
    number = 0
    try:
        with _open(path) as stream:
            while raw := stream.readline(limit):
                number += 1
                if len(raw) == limit and not raw.endswith(b"\n"):
                    _skip_line(stream, limit)
                    start = raw[:RAW].decode(errors="backslashreplace")
                    yield Line(number, start, f"line has {limit:,} bytes or more", whole=False)
                else:
                    yield _decoded(number, raw)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise CorpusError(
            path, None, f"broken gzip somewhere after line {number}: {error}"
        ) from error
    except OSError as error:
        raise CorpusError(path, None, f"cannot be read: {error.strerror}") from error


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        gzipped = file.read(2) == _GZIP
    # The buffer is for speed: a line from GzipFile alone takes several Python calls.
    return io.BufferedReader(gzip.open(path)) if gzipped else path.open("rb")


def _skip_line(stream: BinaryIO, limit: int) -> None:
    while (rest := stream.readline(limit)) and not rest.endswith(b"\n"):
        pass


def _decoded(number: int, raw: bytes) -> Line:
    try:
        text, fault = raw.decode(), None
    except UnicodeDecodeError as error:
        text = raw.decode(errors="backslashreplace")
        fault = f"not valid UTF-8 at byte {error.start} of the line"
    return Line(number, text.removeprefix("\ufeff") if number == 1 else text, fault)
