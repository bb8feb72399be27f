"""A file's bytes as UTF-8, whatever its encoding, and whether or not it is gzipped."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from lurcher.index_builder.corpus.encoding.labels import (
    BAD_BYTES,
    MARK_BYTES,
    UTF8,
    Encoding,
    encoding_of_mark,
)

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# What reading from a broken gzip file raises.
GZIP_ERRORS = (gzip.BadGzipFile, EOFError, zlib.error)

_GZIP = b"\x1f\x8b"
_CHUNK = 2**16  # bytes


def open_plain(path: Path) -> BinaryIO:
    """The file's bytes, unzipped if they are gzipped, which is told by content."""
    with path.open("rb") as file:
        gzipped = file.read(2) == _GZIP
    # The buffer is for speed: a line from GzipFile alone takes several Python calls.
    return io.BufferedReader(gzip.open(path)) if gzipped else path.open("rb")


def open_utf8(path: Path, encoding: Encoding | None = None) -> tuple[BinaryIO, Encoding]:
    """The file's bytes as UTF-8, and the encoding in which they lie on the disk.

    A byte order mark tells it, else ``encoding``, else it is UTF-8. Bytes that are not valid in it are not
    valid in the stream either; a mark is still there. Raises OSError and those of ``GZIP_ERRORS``.
    """
    stream = open_plain(path)
    try:
        encoding = encoding_of_mark(_peek(stream)) or encoding or UTF8
    except BaseException:
        stream.close()
        raise
    if encoding == UTF8:
        return stream, encoding
    return io.BufferedReader(_Transcoder(stream, encoding), _CHUNK), encoding


def _peek(stream: BinaryIO) -> bytes:
    start = stream.read(MARK_BYTES)
    stream.seek(0)
    return start


class _Transcoder(io.RawIOBase):
    """Another stream's bytes, from an encoding to UTF-8; closes it when it is closed."""

    def __init__(self, source: BinaryIO, encoding: Encoding) -> None:
        self._source = source
        self._decoder = codecs.getincrementaldecoder(encoding.codec)(BAD_BYTES)
        self._pending = memoryview(b"")
        self._ended = False

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill ``buffer``; how many bytes were written, 0 at the end."""
        while not self._pending and not self._ended:
            raw = self._source.read(_CHUNK)
            self._ended = not raw
            text = self._decoder.decode(raw, self._ended)
            self._pending = memoryview(text.encode(errors="surrogateescape"))
        view = memoryview(buffer).cast("B")
        size = min(len(view), len(self._pending))
        view[:size] = self._pending[:size]
        self._pending = self._pending[size:]
        return size

    def close(self) -> None:
        """Close both streams."""
        self._source.close()
        super().close()
