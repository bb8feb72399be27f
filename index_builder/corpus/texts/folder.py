"""Text files, alone or in a folder, each of them a document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from lurcher.index_builder.corpus.encoding.lines import MAX_BYTES
from lurcher.index_builder.corpus.options import ReadOptions
from lurcher.index_builder.corpus.passage import BadRecord, document_of
from lurcher.index_builder.corpus.records import Record
from lurcher.index_builder.corpus.texts.kinds import read_text_file


def read_folder(
    root: Path, files: Iterable[Path], reading: ReadOptions | None = None, limit: int = MAX_BYTES
) -> Iterator[Record]:
    """The documents in ``files``, in order; a file that cannot be used is one bad record.

    A document's id is its path below ``root``. A file without words is none.
    """
    encoding = reading.coding if reading else None
    for file in files:
        source = file.relative_to(root).as_posix()
        try:
            markup, metadata = read_text_file(file, encoding, limit)
            if markup.is_read():
                fields = {"id": source, "title": markup.title, "text": markup.text}
                document = replace(
                    document_of(fields, metadata | {"source": source}), sections=markup.sections,
                    blocks=markup.blocks, hidden=markup.hidden,
                )  # fmt: skip
                yield Record(file, None, document)
        except BadRecord as error:
            yield Record(file, None, reason=str(error))
