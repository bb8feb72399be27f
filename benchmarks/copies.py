"""A copy of a bundle to write to: the original stays as it is."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lurcher.index_builder.edit.snapshots import snapshot


@contextmanager
def copy_of(bundle: Path) -> Iterator[Path]:
    """A copy of ``bundle`` beside it, by hard links, until the end of the block."""
    with tempfile.TemporaryDirectory(prefix=".benchmark.", dir=bundle.parent) as folder:
        copy = Path(folder) / bundle.name
        snapshot(bundle, copy)
        yield copy
