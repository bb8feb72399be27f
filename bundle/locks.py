"""Files that one process holds, so that two never write the same thing; each says who holds it.

::

    NAME.lock    one line: the process's number and what it runs; empty from before anybody held it

The file stays when the holder goes: removing it would let two processes hold two files of one name. The
operating system lets go of the lock when the process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path
from typing import BinaryIO


class Held(Exception):
    """Another process holds the file; ``by`` says which."""

    def __init__(self, by: str) -> None:
        self.by = by
        super().__init__(by)


def hold(path: Path) -> BinaryIO:
    """The file at ``path``, made where there is none, held by this process until it is closed.

    Raises Held, or OSError where the file cannot be made or written.
    """
    # Who writes what is nobody else's business.
    lock = open(path, "a+b", opener=private)  # noqa: SIM115 (held until close)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.truncate(0)
        lock.write(_own_name().encode())
        lock.flush()
    except BlockingIOError as error:
        lock.seek(0)
        by = lock.read().decode(errors="replace").strip()
        lock.close()
        raise Held(by or "another process") from error
    except BaseException:
        lock.close()
        raise
    return lock


def is_there(lock: BinaryIO, path: Path) -> bool:
    """Whether the file that is held is the one at ``path``: it is not if its folder was moved or replaced."""
    try:
        return os.path.samestat(path.stat(), os.fstat(lock.fileno()))
    except OSError:
        return False


def private(path: str, flags: int) -> int:
    """A file descriptor of ``path`` that only the owner may read, for ``open``."""
    return os.open(path, flags, 0o600)


def _own_name() -> str:
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200]
    return f"process {os.getpid()} ({command or 'python'})\n"
