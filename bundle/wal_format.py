"""How a write-ahead log lies in its files, and what of a file is whole.

::

    wal/
      lock                   held by the one process that writes             bundle.locks
      000000000042.log       what came after write 42

    a file   "LWAL", u32 format, then frames, each written and synced at once:
    frame    u32 length of the payload, u32 count of entries, u64 sequence of the first,
             u32 CRC-32 of the payload, u32 CRC-32 of these twenty bytes, payload
    payload  a line of JSON for each entry: {"op": ..., ...}
             of a file's first frame, which has no entries: {"collection": ..., "keys": [...]}

Numbers are little-endian. A frame is one group commit: it is there wholly or not at all.

A process that was killed, or a power failure, leaves the last frame torn: the file ends inside it, or the
room that the file has for it was not written and holds zeros at its end or in a whole sector, which JSON
never does. Such a frame was not acknowledged to anybody. Everything else that does not fit its CRC was
altered after it was written.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lurcher.errors import WalCorrupt

MAGIC = b"LWAL" + struct.pack("<I", 1)
_FRAME = struct.Struct("<IIQII")
_CHECKED = _FRAME.size - 4  # what a frame's own CRC is of
_SECTOR = 512  # what a disk writes at once
_MOST = 1 << 30  # bytes of a payload


@dataclass(frozen=True, slots=True)
class Entry:
    """A write: its place in the order of all writes, what it does, and to what (JSON)."""

    sequence: int
    op: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LogFile:
    """What a file of the log holds.

    head      of its first frame
    entries   all that are whole, in order
    end       bytes up to the end of the last whole frame; what follows is torn
    """

    head: dict[str, Any]
    entries: list[Entry]
    end: int


def frame(first: int, entries: Sequence[tuple[str, dict[str, Any]]]) -> bytes:
    """A frame of ``entries`` (op and body), numbered from ``first``."""
    lines = [{"op": op, **body} for op, body in entries]
    return _frame(first, len(lines), "\n".join(map(_line, lines)).encode())


def head_frame(first: int, head: dict[str, Any]) -> bytes:
    """The magic and the first frame of a file whose first entry will be ``first``."""
    return MAGIC + _frame(first, 0, _line(head).encode())


def _frame(first: int, count: int, payload: bytes) -> bytes:
    fields = struct.pack("<IIQI", len(payload), count, first, zlib.crc32(payload))
    return fields + struct.pack("<I", zlib.crc32(fields)) + payload


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def read_file(path: Path, after: int) -> LogFile | None:
    """What the file at ``path`` holds, of a log whose entries before it end with ``after``.

    None where it was torn while it was made, so that it holds nothing. Raises WalCorrupt with the offset of
    the frame that was altered, or OSError.
    """
    raw = path.read_bytes()
    found = read_head(path, raw, after)
    if found is None:
        return None
    head, place = found
    entries, end = read_entries(path, raw, place, after + 1)
    return LogFile(head, entries, end)


def read_head(path: Path, raw: bytes, after: int) -> tuple[dict[str, Any], int] | None:
    """The head in ``raw``, the beginning of a file whose entries come after write ``after``, and its end.

    None where it was torn while it was made. Raises WalCorrupt.
    """
    start = len(MAGIC)
    if raw[:start] != MAGIC:
        if len(raw) < start or not any(raw):
            return None
        raise WalCorrupt(path, 0, "not a write-ahead log of this version")
    found = _read_frame(path, raw, start, 0) if len(raw) > start else None
    if found is None:
        return None
    first, count, payload = found
    if first != after + 1:
        raise WalCorrupt(path, start, f"begins with write {first}, expected {after + 1}")
    lines = _lines(path, start, payload)
    if count or len(lines) != 1:
        raise WalCorrupt(path, start, "the file's first frame is missing")
    return lines[0], start + _FRAME.size + len(payload)


def read_entries(
    path: Path, raw: bytes, place: int, first: int, *, begins: int = 0, most: int | None = None
) -> tuple[list[Entry], int]:
    """The entries of the whole frames in ``raw`` from ``place`` on, numbered from ``first``, and their end.

    ``raw`` is the file from byte ``begins`` on. No frame is looked at after that with write ``most``, None:
    all are. Raises WalCorrupt.
    """
    entries: list[Entry] = []
    while place < len(raw) and (most is None or first + len(entries) <= most):
        found = _read_frame(path, raw, place, begins)
        if found is None:
            break
        at, expected = begins + place, first + len(entries)
        starts, count, payload = found
        if starts != expected:
            raise WalCorrupt(path, at, f"begins with write {starts}, expected {expected}")
        lines = _lines(path, at, payload)
        if len(lines) != count:
            raise WalCorrupt(path, at, f"{len(lines)} entries, expected {count}")
        entries += _entries(path, at, starts, lines)
        place += _FRAME.size + len(payload)
    return entries, place


def _read_frame(path: Path, raw: bytes, place: int, begins: int) -> tuple[int, int, bytes] | None:
    """First sequence, count and payload of the frame at ``place``; None if it is torn. Raises WalCorrupt.

    ``raw`` is the file from byte ``begins`` on.
    """
    fields = raw[place : place + _FRAME.size]
    if len(fields) < _FRAME.size:
        return None
    length, count, first, crc, own = _FRAME.unpack(fields)
    if zlib.crc32(fields[:_CHECKED]) != own or length > _MOST:
        if not raw[-1]:
            return None
        raise WalCorrupt(path, begins + place, "the header of a frame has changed (CRC differs)")
    start = place + _FRAME.size
    payload = raw[start : start + length]
    if len(payload) < length:
        return None
    if zlib.crc32(payload) != crc:
        if not raw[-1] or (start + length == len(raw) and _has_hole(payload, begins + start)):
            return None
        raise WalCorrupt(path, begins + place, "the content of a frame has changed (CRC differs)")
    return first, count, payload


def _has_hole(payload: bytes, start: int) -> bool:
    """Whether a whole sector of ``payload``, which begins at ``start`` of the file, is all zeros."""
    firsts = range(-start % _SECTOR, len(payload) - _SECTOR + 1, _SECTOR)
    return any(not any(payload[first : first + _SECTOR]) for first in firsts)


def _lines(path: Path, place: int, payload: bytes) -> list[dict[str, Any]]:
    """The objects of ``payload``. Raises WalCorrupt: its CRC holds, so another program wrote it."""
    try:
        found = [json.loads(line) for line in payload.split(b"\n")]
    except ValueError as error:
        raise WalCorrupt(path, place, f"not JSON: {error}") from error
    if not all(isinstance(one, dict) for one in found):
        raise WalCorrupt(path, place, "not a line of JSON objects")
    return found


def _entries(path: Path, place: int, first: int, lines: Sequence[dict[str, Any]]) -> list[Entry]:
    found = []
    for number, line in enumerate(lines, first):
        op = line.pop("op", None)
        if not isinstance(op, str):
            raise WalCorrupt(path, place, f"write {number} does not say what it does")
        found.append(Entry(number, op, line))
    return found
