"""What a writer leaves beside its log for those that follow: how far it is kept, and what was encoded.

::

    wal/
      000000000042.follow    of the writer that opened the log, or began a file of it, after write 42

    a file   "LFOL", u32 format, then frames:
    frame    u32 length of the payload, u64 acknowledged, u64 encoded: the last writes that are so,
             u32 CRC-32 of the payload, u32 CRC-32 of these 24 bytes, payload
    payload  new passages, encoded, or nothing; what it holds is the writer's affair

Numbers are little-endian. A frame of the log can be read before it is on the disk, and is taken back where
the disk then refuses it. So a follower takes a write once ``acknowledged`` says that it stays, and it need
not encode what the writer has encoded.

All of it can be worked out from the log, so nothing is synced, and a writer begins a new file when it opens a
bundle. Where that file cannot be written, it stays as it is, and followers wait for the next generation. As
long as a writer has the bundle there is such a file. Where there is none, nobody takes a write back.
"""

from __future__ import annotations

import os
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lurcher.bundle.fail_points import FailPoint, carry_on

MAGIC = b"LFOL" + struct.pack("<I", 1)
_FRAME = struct.Struct("<IQQII")
_CHECKED = _FRAME.size - 4
_SUFFIX = ".follow"


@dataclass(frozen=True, slots=True)
class Marks:
    """The last writes that are acknowledged, and that are encoded."""

    acknowledged: int
    encoded: int


class FollowFile:
    """The file that the writer of the log in ``folder`` appends to; call it from one thread at a time."""

    def __init__(
        self, folder: Path, acknowledged: int, encoded: int, fail_point: FailPoint = carry_on
    ) -> None:
        """Begin one: writes up to ``acknowledged`` stay, and those up to ``encoded`` need no encoding.

        Raises OSError.
        """
        self._folder, self._fail_point = folder, fail_point
        self._begin(acknowledged, encoded)

    def _begin(self, acknowledged: int, encoded: int) -> None:
        path = self._folder / f"{acknowledged:012d}{_SUFFIX}"
        made = path.with_suffix(f"{_SUFFIX}.new")
        file = os.open(made, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            data = MAGIC + _frame(acknowledged, encoded, b"")
            if os.write(file, data) < len(data):
                raise OSError(f"{made}: no room")
            made.replace(path)
        except BaseException:
            os.close(file)
            raise
        self._fail_point("follow: file begun")
        self._file, self._path, self._usable = file, path, True
        self._acknowledged, self._encoded = acknowledged, encoded

    def acknowledge(self, sequence: int) -> None:
        """Say that all writes up to ``sequence`` stay."""
        self._acknowledged = sequence
        self._append(b"")
        self._fail_point("follow: acknowledged")

    def add(self, payload: bytes) -> None:
        """Add passages that are encoded."""
        self._append(payload)

    def finish(self, sequence: int) -> None:
        """Say that all that writes up to ``sequence`` need encoded is there."""
        self._encoded = sequence
        self._append(b"")
        self._fail_point("follow: encoded")

    def _append(self, payload: bytes) -> None:
        if not self._usable:
            return
        data = _frame(self._acknowledged, self._encoded, payload)
        try:
            self._usable = os.write(self._file, data) == len(data)
        except OSError:
            self._usable = False  # the write itself is in the log

    def rotate(self, sequence: int) -> None:
        """Begin a new file; all writes up to ``sequence`` are there and encoded. Raises OSError."""
        before = self._file
        self._begin(sequence, sequence)
        os.close(before)

    def forget(self) -> None:
        """Remove the files before this one. Raises OSError."""
        for path in self._folder.glob(f"*{_SUFFIX}*"):
            if path != self._path:
                path.unlink()

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _frame(acknowledged: int, encoded: int, payload: bytes) -> bytes:
    fields = struct.pack("<IQQI", len(payload), acknowledged, encoded, zlib.crc32(payload))
    return fields + struct.pack("<I", zlib.crc32(fields)) + payload


class FollowReader:
    """Reads what writers leave in ``folder``, a little more each time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[tuple[str, int], _Read] = {}  # of each file, by name and inode
        self.marks: Marks | None = None

    def read(self) -> list[bytes]:
        """The payloads that are new; ``marks`` are the newest file's then, None where there is no file.

        Raises OSError.
        """
        payloads: list[bytes] = []
        read: dict[tuple[str, int], _Read] = {}
        for path in sorted(self._folder.glob(f"[0-9]*{_SUFFIX}")):
            with suppress(FileNotFoundError), path.open("rb") as file:
                key = path.name, os.fstat(file.fileno()).st_ino
                before = self._read.get(key, _Read(0, None))
                file.seek(before.end)
                found, read[key] = _frames(file.read(), before)
                payloads += found
        self._read = read
        self.marks = next((one.marks for one in reversed(read.values()) if one.marks), None)
        return payloads


@dataclass(frozen=True, slots=True)
class _Read:
    """How many bytes of a file were read, and the marks of the last frame in them."""

    end: int
    marks: Marks | None


def _frames(raw: bytes, before: _Read) -> tuple[list[bytes], _Read]:
    """The payloads of the whole frames in ``raw``, which follows on what was read ``before``."""
    payloads, place, marks = [], 0, before.marks
    if not before.end:
        if raw[: len(MAGIC)] != MAGIC:
            return [], before
        place = len(MAGIC)
    while len(fields := raw[place : place + _FRAME.size]) == _FRAME.size:
        length, acknowledged, encoded, crc, own = _FRAME.unpack(fields)
        payload = raw[place + _FRAME.size : place + _FRAME.size + length]
        if zlib.crc32(fields[:_CHECKED]) != own or len(payload) < length:
            break
        if zlib.crc32(payload) != crc:
            break
        if payload:
            payloads.append(payload)
        marks = Marks(acknowledged, encoded)
        place += _FRAME.size + length
    return payloads, _Read(before.end + place, marks)
