"""How a corpus is to be read where it does not tell itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lurcher.errors import FieldError
from lurcher.index_builder.corpus.encoding.labels import Encoding, encoding_of
from lurcher.index_builder.corpus.passage import BadRecord, shown
from lurcher.index_builder.corpus.tables.cell_types import CellType

_OWN = ("id", "text", "title")
_TAB = ("tab", "\\t")


@dataclass(frozen=True, slots=True)
class FieldNames:
    """What a corpus calls a record's id, text and title, where it is not that; None: the usual name."""

    id: str | None = None
    text: str | None = None
    title: str | None = None

    @classmethod
    def parse(cls, pairs: Sequence[str]) -> FieldNames:
        """The names of ``pairs`` such as ``text=body``. Raises FieldError."""
        names: dict[str, str] = {}
        for pair in pairs:
            own, equals, name = pair.partition("=")
            if own not in _OWN or not equals or not name:
                raise FieldError(
                    "field",
                    f"{pair!r} is not OURS=THEIRS, such as text=body; OURS is one of {', '.join(_OWN)}",
                )
            if own in names:
                raise FieldError("field", f"{own} is given twice: {names[own]!r} and {name!r}")
            names[own] = name
        return cls(**names)

    def given(self) -> dict[str, str]:
        """The names that differ from the usual ones, by the usual one."""
        names = {"id": self.id, "text": self.text, "title": self.title}
        return {own: name for own, name in names.items() if name is not None}

    def own(self) -> set[str]:
        """What the corpus calls a record's id, text and title: fields that are not metadata."""
        ids = {"id", "_id"} if self.id is None else {self.id}
        return {*ids, self.text or "text", self.title or "title"}

    def rename(self, fields: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The record with the usual names; and what had one of these names before, which is metadata.

        Raises BadRecord where the record lacks its id or text.
        """
        given = self.given()
        if not given:
            return fields, {}
        for own, name in given.items():
            optional = own == "title" or (own == "text" and "passages" in fields)
            if name not in fields and not optional:
                raise BadRecord(f"{own} is missing; it is called {shown(name)}")
        renamed = {own: fields[name] for own, name in given.items() if name in fields}
        replaced = {*given, "_id"} if "id" in given else {*given}
        rest = {key: value for key, value in fields.items() if key not in given.values()}
        displaced = {key: value for key, value in rest.items() if key in replaced}
        return {key: v for key, v in rest.items() if key not in replaced} | renamed, displaced


def merged(displaced: dict[str, Any], nested: dict[str, Any]) -> dict[str, Any]:
    """Metadata that a record holds in one object, with what ``FieldNames.rename`` displaced.

    Raises BadRecord where a key is in both.
    """
    for key in displaced:
        if key in nested:
            raise BadRecord(f"{shown(key)} is both a field of the record and a key of its metadata")
    return displaced | nested


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a corpus is read.

    encoding   label of the texts' encoding; it overrules what files declare, but not a byte order mark
    delimiter  what separates the cells of a CSV or TSV file; None: as the file's name or first line says
    fields     what the corpus calls a record's id, text and title
    types      types of columns of a CSV or TSV file; the others are found

    Raises FieldError for a value that cannot be.
    """

    encoding: str | None = None
    delimiter: str | None = None
    fields: FieldNames = field(default_factory=FieldNames)
    types: Mapping[str, CellType] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.encoding is not None and encoding_of(self.encoding) is None:
            raise FieldError(
                "encoding",
                f"{self.encoding!r} is no label that browsers know, such as latin1, shift_jis or utf-16le",
            )
        if self.delimiter is not None and not _can_delimit(self.separator or ""):
            raise FieldError(
                "delimiter",
                f"{self.delimiter!r} is not one character, such as ';' or '|', nor 'tab'",
            )

    @property
    def coding(self) -> Encoding | None:
        """The encoding that ``encoding`` names."""
        return None if self.encoding is None else encoding_of(self.encoding)

    @property
    def separator(self) -> str | None:
        """The character that ``delimiter`` names."""
        return "\t" if self.delimiter in _TAB else self.delimiter


def _can_delimit(text: str) -> bool:
    return len(text) == 1 and text not in '"\r\n'
