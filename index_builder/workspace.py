"""The unfinished bundle, ``NAME.lurcher.partial`` beside the one to be, and which stages are done.

::

    NAME.lurcher.partial/
      build.json    the key of each stage that was begun or done
      build.lock    held by the process that builds
      scratch/      files that the bundle does not keep
      bundle/       the bundle to be, renamed to NAME.lurcher when all of it is written

Each stage has a key made of everything that its result depends on. A stage whose key is the one noted
as done is not run again; where a key differs, that stage and all after it start afresh. A kill can
come at any moment: a stage is noted as done only after its files are complete, and the bundle gets
its final name only when everything is.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import IO

from lurcher.bundle.fail_points import FailPoint, carry_on
from lurcher.bundle.sync import sync_all
from lurcher.errors import FieldError

# The two folders of a workspace.
BUNDLE, SCRATCH = "bundle", "scratch"


class Workspace:
    """The folder that a build writes to; only one build at a time has it."""

    def __init__(self, out: Path, fail_point: FailPoint = carry_on) -> None:
        """Open or make the workspace of the bundle ``out``.

        Raises FieldError where ``out`` exists, cannot be made, or is being built by another process.
        """
        self.out = out
        self.root = out.parent / f"{out.name}.partial"
        self.bundle = self.root / BUNDLE
        self.scratch = self.root / SCRATCH
        self._fail_point = fail_point
        self._state = self.root / "build.json"
        self._files: list[Path] = []
        try:
            if os.path.lexists(out):
                if self.root.exists() and not self.bundle.exists():  # killed just after publishing
                    shutil.rmtree(self.root)
                raise FieldError("out", f"{out} exists; remove it first, or choose another name")
            self.root.mkdir(parents=True, exist_ok=True)
            self._lock = self._locked()
            self._keys = self._read()
            for folder in (self.bundle, self.scratch):
                folder.mkdir(exist_ok=True)
        except OSError as error:
            raise FieldError("out", f"cannot write {self.root}: {error.strerror}") from error

    def _locked(self) -> IO[str]:
        lock = (self.root / "build.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A build that ends meanwhile takes its folder with it, and the lock file in it.
            current = os.path.samestat(os.fstat(lock.fileno()), Path(lock.name).stat())
        except (BlockingIOError, FileNotFoundError):
            current = False
        if not current or os.path.lexists(self.out):
            lock.close()
            raise FieldError("out", f"another process is building {self.out}")
        return lock

    def _read(self) -> dict[str, str]:
        if not self.bundle.exists():  # new, or published by a build that was killed right after
            self._state.unlink(missing_ok=True)
            return {}
        try:
            found = json.loads(self._state.read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self) -> None:
        temporary = self._state.with_suffix(".new")
        temporary.write_text(json.dumps(self._keys))
        temporary.replace(self._state)

    def begin(self, stage: str, key: str, files: list[Path]) -> bool:
        """Whether ``stage`` has to run. ``files`` are what it writes.

        Unfinished files of the same key are left for the stage to go on with; others are removed,
        and so is the note that any later stage is done.
        """
        if self._keys.get(stage) == f"done {key}":
            return False
        self._files = files
        if self._keys.get(stage) != f"begun {key}":
            # Forgotten before they are removed: a kill in between leaves no note of what is gone.
            if stage in self._keys:
                stages = list(self._keys)
                for name in stages[stages.index(stage) :]:
                    del self._keys[name]
                self._write()
            for file in files:
                file.unlink(missing_ok=True)
        self._keys[stage] = f"begun {key}"
        self._write()
        return True

    def done(self, stage: str) -> None:
        """Note that ``stage``, begun last, is complete; its files are on disk before the note is."""
        files = [file for file in self._files if file.exists()]
        sync_all([*files, *{file.parent for file in files}])
        self._keys[stage] = self._keys[stage].replace("begun", "done", 1)
        self._write()

    def publish(self) -> None:
        """Give the finished bundle its name."""
        publish(self.bundle, self.out, self._fail_point)
        # The bundle is there; what is left beside it is the next build's to remove.
        shutil.rmtree(self.root, ignore_errors=True)

    def discard(self) -> None:
        """Remove what was written so far."""
        self._state.unlink(missing_ok=True)  # first: nothing may be resumed from half of the files
        shutil.rmtree(self.root)

    def close(self) -> None:
        """Let another build have the workspace."""
        self._lock.close()


def publish(bundle: Path, out: Path, fail_point: FailPoint = carry_on) -> None:
    """Give the finished ``bundle`` the name ``out``. Everything is on disk before the name is."""
    sync_all([*bundle.rglob("*"), bundle])
    fail_point("bundle: synced")
    bundle.rename(out)
    fail_point("bundle: renamed")
    sync_all([out.parent])
