"""What is made once for a whole run of the tests, whichever of its processes needs it first."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Shared:
    """A folder that all processes of one run see."""

    root: Path

    @classmethod
    def of(cls, factory: pytest.TempPathFactory, processes: bool) -> Shared:
        """That of this run; ``processes``: it is one of several, each with a folder of its own below it."""
        base = factory.getbasetemp()
        root = (base.parent if processes else base) / "shared"
        root.mkdir(exist_ok=True)
        return cls(root)

    def once(self, name: str, make: Callable[[Path], object]) -> Path:
        """The folder ``name``, which ``make`` fills unless another process did; only to be read."""
        folder = self.root / name
        with (self.root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                # One rename, so that what a failure leaves behind is not taken for it.
                made = self.root / f"{name}.partial"
                made.mkdir()
                make(made)
                made.rename(folder)
        return folder
