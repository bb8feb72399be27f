"""What a table of any kind needs of its columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from lurcher.errors import CorpusError
from lurcher.index_builder.corpus.options import FieldNames
from lurcher.index_builder.corpus.passage import shown

# What a table's cells may be separated by instead, most likely first.
_DELIMITERS = "\t;|,"


def check_columns(
    path: Path, line: int | None, names: Sequence[str], fields: FieldNames | None = None
) -> None:
    """Nothing, if passages can be read from columns of these names; else raises CorpusError."""
    there = ", ".join(shown(name) for name in names)
    if len(names) == 1 and (other := next((d for d in _DELIMITERS if d in names[0]), "")):
        name = "tab" if other == "\t" else other
        there += f"; if cells are separated by {shown(other)}, give --delimiter '{name}'"
    given = fields.given() if fields else {}
    for own, name in given.items():
        if name not in names:
            raise CorpusError(
                path, line, f"no column is called {shown(name)}, for {own}; there are: {there}"
            )
    if "id" not in given and not {"id", "_id"} & set(names):
        raise CorpusError(path, line, f"no column is called 'id' or '_id'; there are: {there}")
    if "text" not in given and "text" not in names:
        raise CorpusError(path, line, f"no column is called 'text'; there are: {there}")
    if len(set(names)) < len(names):
        raise CorpusError(path, line, f"two columns have the same name; there are: {there}")


def check_typed(
    path: Path, line: int, names: Sequence[str], fields: FieldNames, typed: Iterable[str]
) -> None:
    """Nothing, if the columns ``typed`` are there and are metadata; else raises CorpusError."""
    for name in typed:
        if name not in names:
            there = ", ".join(map(shown, names))
            raise CorpusError(
                path, line, f"no column is called {shown(name)}, to have a type; there are: {there}"
            )
        if name in fields.own():
            raise CorpusError(
                path, line, f"column {shown(name)} is not metadata, which alone has types"
            )
