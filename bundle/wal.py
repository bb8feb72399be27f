"""The write-ahead log of a bundle: what was acknowledged and no generation has yet.

An append is one frame, synced before it returns, so it is wholly in the log or not at all. Where the disk
takes no more, the log is cut back to what it was and can be used on. A new file is begun with each
generation; files whose writes a generation has are removed. The format is that of bundle.wal_format.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from lurcher.bundle.fail_points import FailPoint, carry_on
from lurcher.bundle.locks import private
from lurcher.bundle.sync import DISK, Disk
from lurcher.bundle.wal_format import Entry, LogFile, frame, head_frame, read_file
from lurcher.errors import WalCorrupt, WriteNotKept

WAL = "wal"
LOCK = f"{WAL}/lock"


def read_log(folder: Path, after: int) -> tuple[list[Entry], dict[str, Any], list[str]]:
    """The writes after number ``after`` in the log in ``folder``, the last file's head, and what was torn.

    The head is empty where there is no file. Raises WalCorrupt, also where writes are missing, or OSError.
    """
    found, torn = _read_files(folder, after)
    entries = [one for file in found.values() for one in file.entries if one.sequence > after]
    head = list(found.values())[-1].head if found else {}
    return entries, head, torn


def _read_files(folder: Path, after: int) -> tuple[dict[Path, LogFile], list[str]]:
    """What each file of the log holds that has writes after ``after``, in order, and a line about each torn.

    Those before it were to be removed. A power failure may bring some of them back, with others between them
    gone.
    """
    paths = _files(folder)
    needed = [path for path in paths if int(path.stem) <= after]
    paths = [*needed[-1:], *paths[len(needed) :]]
    found: dict[Path, LogFile] = {}
    torn = []
    last: int | None = None  # sequence of the last entry before the next file
    for path in paths:
        begins = int(path.stem)
        if last is not None and begins != last:
            raise WalCorrupt(path, 0, f"begins after write {begins}, expected {last}")
        if last is None and begins > after:
            reason = f"begins after write {begins}, and the bundle has those up to {after}"
            raise WalCorrupt(path, 0, reason)
        held = read_file(path, begins)
        size = path.stat().st_size
        end = 0 if held is None else held.end
        if end < size:
            if path != paths[-1]:
                raise WalCorrupt(path, end, "ends in a torn frame, and another file follows")
            torn.append(
                f"{path}: {size - end} bytes from byte {end} on were never acknowledged; cut off"
            )
        if held is None:
            continue
        found[path] = held
        last = begins + len(held.entries)
    return found, torn


def copy_log(folder: Path, out: Path, after: int) -> None:
    """Copy what the log in ``folder`` has after write ``after`` to the new folder ``out``: whole frames.

    Another process may write it meanwhile. Raises WalCorrupt where the log does not follow on ``after``, as
    while its files are replaced, or OSError.
    """
    found, _ = _read_files(folder, after)
    out.mkdir(exist_ok=True)
    for path, held in found.items():
        (out / path.name).write_bytes(path.read_bytes()[: held.end])


class WriteAheadLog:
    """A log opened for writing; hold its lock, and call it from one thread at a time."""

    def __init__(
        self, folder: Path, collection: str, after: int, fail_point: FailPoint = carry_on,
        disk: Disk = DISK,
    ) -> None:  # fmt: skip
        """Open the log in ``folder`` of the bundle ``collection``, which has writes up to ``after``.

        ``entries`` are the writes after that, ``keys`` what the last file's head remembers, and ``torn`` says
        what was cut off. Raises WalCorrupt, which leaves the files as they are, or OSError.
        """
        self._folder, self._collection = folder, collection
        self._fail_point, self._disk = fail_point, disk
        folder.mkdir(exist_ok=True)
        found, self.torn = _read_files(folder, after)
        for path, held in found.items():
            if held.head.get("collection") != collection:
                reason = f"of another bundle ({held.head.get('collection')!r})"
                raise WalCorrupt(path, 0, reason)
        self.entries = [e for held in found.values() for e in held.entries if e.sequence > after]
        self.sequence = max([after, *(one.sequence for one in self.entries)])
        self.keys: list[Any] = list(found.values())[-1].head.get("keys", []) if found else []
        self._usable = True
        whole = [path for path, held in found.items() if int(path.stem) + len(held.entries) > after]
        for path in [*folder.glob("*.new"), *(p for p in _files(folder) if p not in found)]:
            disk.unlink(path)
        if whole:
            self._path, self._end = whole[-1], found[whole[-1]].end
            self._file = self._open(self._path)
            if self._end < os.fstat(self._file).st_size:
                disk.truncate(self._file, self._end)
            disk.sync_data(self._file)  # whose process was killed may have been about to
        else:
            self._begin(self.keys)
        for path in found:
            if path not in whole and path != self._path:
                disk.unlink(path)
        self._count()

    @property
    def bytes(self) -> int:
        """How much room the log takes on the disk; from any thread."""
        return self._before + self._end

    def _count(self) -> None:
        """Note how much room the files before the last one take."""
        sizes = {path: path.stat().st_size for path in _files(self._folder)}
        self._before = sum(size for path, size in sizes.items() if path != self._path)

    def append(self, entries: Sequence[tuple[str, dict[str, Any]]]) -> list[Entry]:
        """``entries`` (op and body) with their numbers: all of them on the disk when this returns.

        Raises WriteNotKept where they cannot be written. None of them is in the log then, unless the power
        fails before that is on the disk.
        """
        if not self._usable:
            raise WriteNotKept(f"{self._path} failed before; open the bundle again")
        data = frame(self.sequence + 1, entries)
        try:
            self._fail_point("wal: append begun")
            self._disk.append(self._file, data)
            self._fail_point("wal: append written")
            self._disk.sync_data(self._file)
        except OSError as error:
            self._cut_back()
            raise WriteNotKept(f"{self._path} cannot be written: {error}") from error
        self._fail_point("wal: append synced")
        numbered = [Entry(n, *entry) for n, entry in enumerate(entries, self.sequence + 1)]
        self._end += len(data)
        self.sequence += len(entries)
        return numbered

    def _cut_back(self) -> None:
        try:
            self._disk.truncate(self._file, self._end)
        except OSError:
            self._usable = False  # what is at its end nobody knows

    def rotate(self, keys: Sequence[Any]) -> None:
        """Begin a new file, whose head remembers ``keys``; ``forget`` removes those before it.

        Raises OSError; the log is used on as it is then.
        """
        before = self._file
        self._begin(keys)
        self._count()
        os.close(before)

    def forget(self, after: int) -> None:
        """Remove the files whose writes a generation has, which are those up to ``after``. Raises OSError."""
        for path, following in pairwise(_files(self._folder)):
            if int(following.stem) <= after:
                self._disk.unlink(path)
                self._fail_point("wal: file removed")
        self._count()

    def _begin(self, keys: Sequence[Any]) -> None:
        path = self._folder / f"{self.sequence:012d}.log"
        made = path.with_suffix(".new")
        head = {"collection": self._collection, "keys": list(keys)}
        data = head_frame(self.sequence + 1, head)
        file = os.open(made, os.O_CREAT | os.O_TRUNC | os.O_RDWR | os.O_APPEND, 0o600)
        try:
            self._disk.append(file, data)
            self._disk.sync_data(file)
            self._fail_point("wal: file written")
            self._disk.replace(made, path)
            self._disk.sync(self._folder)
            self._disk.sync(self._folder.parent)  # the folder may be new, too
        except BaseException:
            os.close(file)
            raise
        self._fail_point("wal: file begun")
        self._file, self._path, self._end, self.keys = file, path, len(data), list(keys)

    def _open(self, path: Path) -> int:
        return private(str(path), os.O_RDWR | os.O_APPEND)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.log"))
