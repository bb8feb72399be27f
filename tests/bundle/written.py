"""A file of passages, written for one test."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lurcher.bundle.passages import Passage, Passages, PassageWriter


@contextmanager
def written(passages: Sequence[Passage]) -> Iterator[Passages]:
    """A finished file of ``passages``, opened."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "passages.db"
        writer = PassageWriter(path)
        writer.append(passages, len(passages), 0)
        writer.finish()
        opened = Passages(path)
        try:
            yield opened
        finally:
            opened.close()
