"""Corpus readers: each kind of corpus becomes one stream of records, good and bad, in order.

A bad record never ends the stream; a file that cannot be used at all raises CorpusError.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lurcher.index_builder.corpus.detect import detect
from lurcher.index_builder.corpus.folder import read_folder
from lurcher.index_builder.corpus.jsonl import read_jsonl
from lurcher.index_builder.corpus.parquet import read_parquet
from lurcher.index_builder.corpus.records import Record
from lurcher.index_builder.corpus.tables import read_table

__all__ = ["Record", "corpus_files", "read_corpus"]


def read_corpus(path: Path) -> Iterator[Record]:
    """The records of the corpus at ``path``, in an order that is the same each time.

    Raises CorpusError at once where ``path`` has nothing to read, and while reading where a file
    cannot be read on.
    """
    kind, files = detect(path)
    match kind:
        case "folder":
            return read_folder(path, files)
        case "jsonl":
            return read_jsonl(files[0])
        case "parquet":
            return read_parquet(files[0])
        case "csv":
            return read_table(files[0], ",")
        case "tsv":
            return read_table(files[0], "\t")


def corpus_files(path: Path) -> list[Path]:
    """The files from which ``read_corpus`` reads, in its order."""
    return detect(path)[1]
