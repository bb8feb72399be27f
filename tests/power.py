"""A disk that notes what is done to a folder, and what a power failure at each moment would leave of it.

What was flushed stays: of a file its content, of a folder its list of names. Of the rest any part may be
there or not, in any order: each name that was given or taken, each rename as a whole, and of content any
beginning, with zeros in the place of what was not written.
"""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lurcher.bundle.sync import Disk

Names = dict[int, dict[str, int]]  # of each folder, by inode: the inode of each name
Contents = dict[int, bytes]


@dataclass(frozen=True)
class Renaming:
    """In ``folder``, ``gone`` lose their names and ``there`` have them: what happens at once."""

    folder: int
    gone: tuple[str, ...] = ()
    there: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Content:
    """The file ``inode`` holds ``data``."""

    inode: int
    data: bytes


@dataclass(frozen=True)
class Moment:
    """What is on the disk for certain, what may be, and what the test had been told by then."""

    doing: str
    root: int
    names: Names
    contents: Contents
    pending: tuple[Renaming | Content, ...]
    told: Any


@dataclass
class NotingDisk(Disk):
    """Does everything, and notes it of the files below ``root``; ``told`` gives what a test knows by then."""

    root: Path
    told: Callable[[], Any]
    moments: list[Moment] = field(default_factory=list)
    _held: dict[int, int] = field(default_factory=dict)  # an inode that is open is not given again
    _sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    _now: Names = field(default_factory=dict)
    _names: Names = field(default_factory=dict)
    _contents: Contents = field(default_factory=dict)
    _pending: list[Renaming | Content] = field(default_factory=list)

    def begin(self) -> None:
        """Take what there is for flushed."""
        self._look()
        for one in self._pending:
            _apply(one, self._names, self._contents)
        self._pending.clear()

    def close(self) -> None:
        for handle in self._held.values():
            os.close(handle)

    def note(self, doing: str) -> None:
        """Note a moment at which the power may fail."""
        self._look()
        names = {folder: dict(own) for folder, own in self._names.items()}
        root = self.root.stat().st_ino
        self.moments.append(
            Moment(doing, root, names, dict(self._contents), tuple(self._pending), self.told())
        )

    def sync(self, path: Path) -> None:
        self.note(f"sync {path.name}")
        super().sync(path)
        self._flushed(path.stat().st_ino)
        self.note(f"synced {path.name}")

    def append(self, file: int, data: bytes) -> None:
        super().append(file, data)
        self.note("appended")

    def sync_data(self, file: int) -> None:
        super().sync_data(file)
        self._look()
        self._flushed(os.fstat(file).st_ino)
        self.note("data synced")

    def truncate(self, file: int, size: int) -> None:
        super().truncate(file, size)
        self._look()
        self._flushed(os.fstat(file).st_ino)
        self.note("truncated")

    def replace(self, path: Path, target: Path) -> None:
        self.note(f"replace {target.name}")
        super().replace(path, target)
        self.note(f"replaced {target.name}")

    def unlink(self, path: Path) -> None:
        self.note(f"unlink {path.name}")
        super().unlink(path)
        self.note(f"unlinked {path.name}")

    def _flushed(self, inode: int) -> None:
        left: list[Renaming | Content] = []
        for one in self._pending:
            if inode == (one.inode if isinstance(one, Content) else one.folder):
                _apply(one, self._names, self._contents)
            else:
                left.append(one)
        self._pending = left

    def _look(self) -> None:
        """Note what has changed since the last look."""
        found: Names = {}
        for folder in (self.root, *(one for one in self.root.rglob("*") if one.is_dir())):
            own = found[self._hold(folder)] = {}
            for one in folder.iterdir():
                own[one.name] = self._hold(one)
        for folder_inode, own in found.items():
            before = self._now.get(folder_inode, {})
            gone = {name: inode for name, inode in before.items() if name not in own}
            there = {name: inode for name, inode in own.items() if before.get(name) != inode}
            for name, inode in there.items():
                old = [one for one, had in gone.items() if had == inode]
                for one in old:
                    del gone[one]
                self._pending.append(Renaming(folder_inode, tuple(old), ((name, inode),)))
            self._pending += [Renaming(folder_inode, (name,)) for name in gone]
        self._now = found

    def _hold(self, path: Path) -> int:
        how = path.lstat()
        inode = how.st_ino
        if inode not in self._held:
            self._held[inode] = os.open(path, os.O_RDONLY)
        if stat.S_ISREG(how.st_mode) and self._sizes.get(inode) != (how.st_size, how.st_mtime_ns):
            self._sizes[inode] = how.st_size, how.st_mtime_ns
            self._pending.append(Content(inode, path.read_bytes()))
        return inode


def _apply(one: Renaming | Content, names: Names, contents: Contents) -> None:
    if isinstance(one, Content):
        contents[one.inode] = one.data
        return
    own = names.setdefault(one.folder, {})
    for name in one.gone:
        own.pop(name, None)
    own.update(one.there)


def after_failure(moment: Moment, out: Path, draw: random.Random, kept: float) -> None:
    """Write to the new folder ``out`` what the power failure at ``moment`` leaves.

    Of what was not flushed each is there with the probability ``kept``; of a file that is written and not
    flushed, what it holds may be there in part.
    """
    names = {folder: dict(own) for folder, own in moment.names.items()}
    contents = dict(moment.contents)
    for one in moment.pending:
        if draw.random() >= kept:
            continue
        if isinstance(one, Content):
            one = Content(one.inode, _torn(contents.get(one.inode, b""), one.data, draw, kept))
        _apply(one, names, contents)

    def write(folder: int, place: Path) -> None:
        place.mkdir()
        for name, inode in names.get(folder, {}).items():
            if inode in contents:
                (place / name).write_bytes(contents[inode])
            elif inode in names:
                write(inode, place / name)
            # Else the list of a folder that was never flushed, or a file without content.
            elif inode in moment.names or any(
                isinstance(two, Renaming) and two.folder == inode for two in moment.pending
            ):
                (place / name).mkdir()
            else:
                (place / name).touch()

    write(moment.root, out)


def _torn(before: bytes, after: bytes, draw: random.Random, kept: float) -> bytes:
    """``after``, or a part of what it has more than ``before``; zeros where it was not written."""
    if kept == 1 or draw.random() < 0.5 or not after.startswith(before):
        return after
    end = draw.randint(len(before), len(after))
    return after[:end] + bytes(len(after) - end if draw.random() < 0.5 else 0)
