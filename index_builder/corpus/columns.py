"""What a table of any kind needs of its columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lurcher.errors import CorpusError
from lurcher.index_builder.corpus.passage import shown


def check_columns(path: Path, line: int | None, names: Sequence[str]) -> None:
    """Nothing, if passages can be read from columns of these names; else raises CorpusError."""
    there = ", ".join(shown(name) for name in names)
    if not {"id", "_id"} & set(names):
        raise CorpusError(path, line, f"no column is called 'id' or '_id'; there are: {there}")
    if "text" not in names:
        raise CorpusError(path, line, f"no column is called 'text'; there are: {there}")
    if len(set(names)) < len(names):
        raise CorpusError(path, line, f"two columns have the same name; there are: {there}")
