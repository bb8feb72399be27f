"""Corpus readers: each kind of corpus becomes one stream of records, good and bad, in order.

A bad record never ends the stream; a file that cannot be used at all raises CorpusError.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from lurcher.errors import FieldError
from lurcher.index_builder.corpus.detect import Kind, bundle_name, detect
from lurcher.index_builder.corpus.json_files.lines import read_jsonl
from lurcher.index_builder.corpus.json_files.objects import holds_values, read_json_values
from lurcher.index_builder.corpus.options import FieldNames, ReadOptions
from lurcher.index_builder.corpus.records import Record
from lurcher.index_builder.corpus.tables.delimited import read_table
from lurcher.index_builder.corpus.tables.parquet import read_parquet
from lurcher.index_builder.corpus.texts.folder import read_folder

__all__ = [
    "FieldNames",
    "ReadOptions",
    "Record",
    "bundle_name",
    "corpus_files",
    "read_corpus",
]

_NAMES: dict[Kind, str] = {
    "jsonl": "JSONL", "json": "JSON", "csv": "CSV", "tsv": "TSV", "parquet": "Parquet",
    "texts": "text files",
}  # fmt: skip


def read_corpus(path: Path, reading: ReadOptions | None = None) -> Iterator[Record]:
    """The records of the corpus at ``path``, in an order that is the same each time.

    Raises CorpusError at once where ``path`` has nothing to read, and while reading where a file
    cannot be read on; FieldError for an option that a corpus of this kind has no use for.
    """
    reading = reading or ReadOptions()
    kind, root, files, faults = detect(path)
    _check_options(kind, reading)
    match kind:
        case "texts":
            return chain(faults, read_folder(root, files, reading))
        case "jsonl":
            return read_jsonl(files[0], reading)
        case "json":
            read = read_json_values if holds_values(files[0], reading) else read_jsonl
            return read(files[0], reading)
        case "parquet":
            return read_parquet(files[0], reading)
        case "csv":
            return read_table(files[0], ",", reading)
        case "tsv":
            return read_table(files[0], "\t", reading)


def corpus_files(path: Path) -> list[Path]:
    """The files from which ``read_corpus`` reads, in its order."""
    return detect(path).files


def _check_options(kind: Kind, reading: ReadOptions) -> None:
    """Raise FieldError for an option that a corpus of this kind has no use for."""
    if reading.delimiter is not None and kind not in ("csv", "tsv"):
        raise FieldError("delimiter", f"is for CSV and TSV; this corpus is {_NAMES[kind]}")
    if reading.types and kind not in ("csv", "tsv"):
        raise FieldError("types", f"are for CSV and TSV; this corpus is {_NAMES[kind]}")
    if reading.encoding is not None and kind == "parquet":
        raise FieldError("encoding", "is for texts; Parquet files say what they hold")
    if reading.fields.given() and kind == "texts":
        raise FieldError("field", "is for records; text files have no fields")
