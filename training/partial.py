"""Where a training works: a folder beside what it makes, which outlives a kill."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lurcher.errors import FieldError, ModelError


@contextmanager
def partial(out: Path) -> Iterator[Path]:
    """The folder ``OUT.partial``, for the block to make ``out`` in, which is not there yet.

    It goes when the block is through, and else stays for a rerun. Raises FieldError where ``out`` exists, and
    ModelError where the disk or the memory gives up.
    """
    if out.exists():
        raise FieldError("out", f"{out} exists already; name a new one or remove it first")
    work = out.with_name(f"{out.name}.partial")
    try:
        yield work
    # torch raises RuntimeError where memory runs out.
    except (OSError, RuntimeError) as error:
        reason = f"cannot be made: {error}; what is done is kept in {work}"
        raise ModelError(f"{out}: {reason}") from error
    shutil.rmtree(work, ignore_errors=True)


def begin(work: Path, made_for: Sequence[object]) -> None:
    """Make ``work`` ready for what is to be made: what was begun there for something else goes."""
    noted = hashlib.sha256(json.dumps(made_for, sort_keys=True).encode()).hexdigest()
    file = work / "plan.sha256"
    if file.exists() and file.read_text() == noted:
        return
    if work.exists():
        shutil.rmtree(work)
    work.mkdir(parents=True)
    file.write_text(noted)
