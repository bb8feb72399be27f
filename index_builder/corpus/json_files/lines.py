"""JSON lines: one object a line, as BEIR writes its corpora."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.corpus.encoding.lines import RAW, read_lines
from lurcher.index_builder.corpus.json_files.parsing import json_object
from lurcher.index_builder.corpus.options import FieldNames, ReadOptions, merged
from lurcher.index_builder.corpus.passage import BadRecord, document_of, kind_of
from lurcher.index_builder.corpus.records import Record


def read_jsonl(path: Path, reading: ReadOptions | None = None) -> Iterator[Record]:
    """One record for each line that is not blank."""
    reading = reading or ReadOptions()
    for line in read_lines(path, encoding=reading.coding):
        text = line.text.rstrip("\r\n")
        if not text.strip():
            continue
        try:
            if line.fault:
                raise BadRecord(line.fault)
            yield Record(
                path,
                line.number,
                json_document(text, "a line must hold a JSON object", reading.fields),
            )
        except BadRecord as error:
            yield Record(path, line.number, reason=str(error), raw=text[:RAW])


def json_document(text: str, rule: str, names: FieldNames) -> Document:
    """The document of the JSON object that ``text`` holds.

    Raises BadRecord, by ``rule`` where it is no object.
    """
    fields, displaced = names.rename(json_object(text, rule))
    nested = fields.pop("metadata", None)
    if nested is None:
        nested = {}
    if not isinstance(nested, dict):
        raise BadRecord(f"metadata is {kind_of(nested)}; it must be an object")
    return document_of(fields, merged(displaced, nested))
