"""JSON files that hold one list of objects, or objects over several lines.

The file is cut into its objects by their brackets alone, before anything is parsed. So memory holds one
object at a time, and one that is not valid JSON spoils no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lurcher.errors import CorpusError
from lurcher.index_builder.corpus.encoding.labels import Encoding, fault
from lurcher.index_builder.corpus.encoding.lines import MAX_BYTES, RAW, read_lines
from lurcher.index_builder.corpus.encoding.streams import GZIP_ERRORS, open_utf8
from lurcher.index_builder.corpus.json_files.lines import json_document
from lurcher.index_builder.corpus.options import ReadOptions
from lurcher.index_builder.corpus.passage import BadRecord
from lurcher.index_builder.corpus.records import Record

CHUNK = 2**18  # bytes
_MARK = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"

# A string's characters up to its end.
_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)


def _passed_over(marks: bytes) -> re.Pattern[bytes]:
    """What holds none of ``marks`` outside of strings, and no string that does not end."""
    return re.compile(rb'(?:[^"%b]++|"(?:[^"\\]++|\\.)*+")*+' % marks, re.DOTALL)


_IN_VALUE = _passed_over(rb"{}\[\]")
_IN_LIST = _passed_over(rb"{}\[\],")
# Outside of lists a comma means nothing, and text that is no object ends with its line.
_AT_TOP = _passed_over(rb"{}\[\]\n")


class _Value(NamedTuple):
    """A value's text, or its beginning if it is longer than ``limit`` bytes; and its first and last line."""

    raw: bytes
    line: int
    last: int
    whole: bool
    closed: bool


def holds_values(path: Path, reading: ReadOptions) -> bool:
    """Whether a JSON file is to be read as values and not as lines; its first line tells.

    Raises CorpusError if it cannot be read.
    """
    for line in read_lines(path, encoding=reading.coding):
        text = line.text.strip()
        if text:
            # A list; or an object that goes on in the next line.
            return text[0] == "[" or (text[0] == "{" and text[-1] in "{[,:")
    return False


def read_json_values(
    path: Path, reading: ReadOptions | None = None, limit: int = MAX_BYTES, chunk: int = CHUNK
) -> Iterator[Record]:
    """One record for each object in the file's lists, and for each outside of them.

    ``line`` is the one on which the object starts; ``chunk`` bytes are read at a time. Raises CorpusError
    where the file cannot be read on.
    """
    reading = reading or ReadOptions()
    last = 0
    try:
        stream, encoding = open_utf8(path, reading.coding)
        with stream:
            for value in _values(iter(lambda: stream.read(chunk), b""), limit):
                last = value.last
                yield _record(path, value, encoding, reading, limit)
    except GZIP_ERRORS as error:
        reason = f"broken gzip somewhere after line {last}: {error}"
        raise CorpusError(path, None, reason) from error
    except OSError as error:
        raise CorpusError(path, None, f"cannot be read: {error.strerror}") from error


def _record(
    path: Path, value: _Value, encoding: Encoding, reading: ReadOptions, limit: int
) -> Record:
    try:
        return Record(
            path,
            value.line,
            json_document(
                _text(value, encoding, limit), "a list must hold JSON objects", reading.fields
            ),
        )
    except BadRecord as error:
        # A bracket that never closes takes other objects with it; say how far.
        end = f"; the object ends on line {value.last}" if value.last > value.line else ""
        raw = value.raw[: 4 * RAW].decode(errors="backslashreplace")[:RAW]
        return Record(path, value.line, reason=f"{error}{end}", raw=raw)


def _text(value: _Value, encoding: Encoding, limit: int) -> str:
    if not value.whole:
        raise BadRecord(f"the object has {limit:,} bytes or more")
    if not value.closed:
        raise BadRecord("the file ends before this object or its list does")
    if not value.raw:
        raise BadRecord("nothing before a comma or the end of a list")
    try:
        return value.raw.decode()
    except UnicodeDecodeError as error:
        at = len(value.raw[: error.start].decode())
        raise BadRecord(fault(encoding, f"character {at} of the object")) from None


def _values(chunks: Iterator[bytes], limit: int) -> Iterator[_Value]:
    """Each value of a file, in order."""
    scanner = _Scanner(limit)
    for number, chunk in enumerate(chunks):
        yield from scanner.scan(chunk.removeprefix(_MARK) if number == 0 else chunk)
    yield from scanner.end()


class _Scanner:
    """Finds where values start and end in chunks of a file."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._line = 1
        self._in_list = False
        self._depth = 0  # brackets open in the value
        self._in_string = False
        self._escaped = False  # the last chunk ended with a backslash in a string
        self._after_comma = False
        self._begin()

    def _begin(self) -> None:
        self._raw = bytearray()
        self._start = 0  # line of the value's first character; 0: it has none yet
        self._whole = True
        self._depth = 0

    def scan(self, chunk: bytes) -> Iterator[_Value]:
        """The values that end in ``chunk``."""
        at = 0
        while at < len(chunk):
            if self._in_string:
                at = self._end_string(chunk, at)
                continue
            pattern = _IN_VALUE if self._depth else _IN_LIST if self._in_list else _AT_TOP
            match = pattern.match(chunk, at)
            end = match.end() if match else at
            self._take(chunk, at, end)
            at = end + 1
            yield from self._token(chunk[end:at])

    def end(self) -> Iterator[_Value]:
        """What the file's end leaves open."""
        if self._start or self._in_list:
            yield self._value(closed=not (self._in_list or self._depth or self._in_string))

    def _end_string(self, chunk: bytes, at: int) -> int:
        """Take a string's characters from ``at`` on; where they end."""
        skipped = at + self._escaped
        self._escaped = False
        match = _STRING.match(chunk, skipped)
        end = match.end() if match else skipped
        if end < len(chunk):
            # A quote, or a backslash whose character comes with the next chunk.
            self._in_string = chunk[end] != ord('"')
            self._escaped = self._in_string
            end += 1
        self._take(chunk, at, end)
        return end

    def _token(self, token: bytes) -> Iterator[_Value]:
        match token:
            case b"":
                pass  # the chunk's end
            case b"[" if not self._in_list and not self._start:
                self._in_list, self._after_comma = True, False
            case b"," if not self._depth:
                yield self._value(closed=True)
                self._after_comma = True
            case b"]" if self._in_list and not self._depth:
                if self._start or self._after_comma:
                    yield self._value(closed=True)
                self._in_list = False
            case b"\n":
                if self._start and not self._depth:
                    yield self._value(closed=True)
                self._take(token, 0, 1)
            case _:
                self._take(token, 0, 1)
                self._in_string = token == b'"'
                if token in b"{[":
                    self._depth += 1
                elif token in b"}]" and self._depth:
                    self._depth -= 1
                    if not self._depth and not self._in_list:
                        yield self._value(closed=True)

    def _take(self, chunk: bytes, start: int, end: int) -> None:
        """Add ``chunk[start:end]`` to the value; white space before a value is passed over."""
        piece = chunk[start:end]
        if not self._start:
            rest = piece.lstrip(_SPACE)
            self._line += piece.count(b"\n", 0, len(piece) - len(rest))
            piece = rest
            if not piece:
                return
            self._start = self._line
        room = self._limit - len(self._raw)
        self._whole = self._whole and len(piece) < room
        self._raw += piece[:room]
        self._line += piece.count(b"\n")

    def _value(self, *, closed: bool) -> _Value:
        raw = bytes(self._raw).rstrip(_SPACE)
        # Line ends after the value are counted, but are not its own.
        last = self._line - self._raw.count(b"\n", len(raw)) if self._whole else self._line
        value = _Value(raw, self._start or self._line, last, self._whole, closed)
        self._begin()
        return value
