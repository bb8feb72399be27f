"""A corpus into a bundle that exists: what is new or changed is written; what is gone may be deleted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lurcher.bundle.bundle import Bundle
from lurcher.errors import CorpusError, FieldError, LurcherError
from lurcher.index_builder.corpus import Record
from lurcher.index_builder.corpus.document import Document, hash_in
from lurcher.index_builder.edit.requests import Delete, Receipt, Request, Upsert
from lurcher.index_builder.edit.writer import Writer
from lurcher.index_builder.progress import Reporter

# Written together; it bounds the memory, and how much is done again after a kill.
_DOCUMENTS, _CHARACTERS = 512, 1_000_000


@dataclass(slots=True)
class Done:
    """How many documents were written, were as they are, and were deleted."""

    written: int = 0
    unchanged: int = 0
    deleted: int = 0


def take_in(
    writer: Writer, records: Iterable[Record], report: Reporter, delete_others: bool = False,
    keep_feedback: bool = False,
) -> Done:  # fmt: skip
    """Write the documents of ``records`` that the bundle does not have as they are; what was done.

    ``keep_feedback`` is as in ``Upsert``. With ``delete_others``, documents that are not among them are
    deleted then. A kill leaves what was done so far; the next call does the rest. Raises CorpusError for
    the first bad record, before anything is deleted, and FieldError for an id that is there twice or
    belongs to another document, or if there is no record.
    """
    report.stage("comparing", None)
    stored = document_hashes(writer.bundle)
    done, seen = Done(), dict[str, None]()
    changed = _changed(records, stored, seen, done, report)
    for some in _batched(changed):
        receipt = commit(writer, Upsert(tuple(some), keep_feedback=keep_feedback))
        done.written += receipt.upserted
        done.unchanged += receipt.unchanged
        report.advance(len(some))
    if delete_others:
        if not seen:
            raise FieldError("corpus", "has no document; `lurcher delete` deletes everything")
        gone = [id_ for id_ in stored if id_ not in seen]
        delete_documents(writer, gone)
        done.deleted = len(gone)
    return done


def delete_documents(writer: Writer, ids: Sequence[str]) -> None:
    """Delete the documents ``ids``, some at a time. Raises their error."""
    for first in range(0, len(ids), _DOCUMENTS):
        commit(writer, Delete(tuple(ids[first : first + _DOCUMENTS])))


def document_hashes(bundle: Bundle) -> dict[str, bytes | None]:
    """The hash of each document of ``bundle`` by its id, None where it is not known or a part is missing."""
    sources: dict[str, set[bytes | None]] = {}
    counts: Counter[str] = Counter()
    live = bundle.rows.live
    for place, segment in enumerate(bundle.segments):
        own = bundle.rows.among(place)
        rows = np.arange(segment.count) if live is None else np.flatnonzero(live[own])
        documents = segment.passages.documents(rows)
        counts.update(documents)
        for document, one in zip(documents, segment.passages.sources(rows.tolist()), strict=True):
            sources.setdefault(document, set()).add(one)
    hashes: dict[str, bytes | None] = {}
    for document, found in sources.items():
        # A passage that was patched has none.
        source = found.pop() if len(found) == 1 else None
        hashes[document] = None if source is None else hash_in(source, counts[document])
    return hashes


def _changed(
    records: Iterable[Record], stored: dict[str, bytes | None], seen: dict[str, None], done: Done,
    report: Reporter,
) -> Iterator[Document]:  # fmt: skip
    """Documents whose hash is not that of ``stored``; all are noted in ``seen``. Raises CorpusError."""
    for record in records:
        document = record.document
        if document is None:
            raise CorpusError(record.file, record.line, record.reason or "")
        if document.id in seen:
            reason = f"id {document.id!r} was used before; ids must be unique"
            raise CorpusError(record.file, record.line, reason)
        seen[document.id] = None
        if stored.get(document.id) == document.content_hash:
            done.unchanged += 1
            report.advance(1)
        else:
            yield document


def _batched(documents: Iterable[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    characters = 0
    for document in documents:
        batch.append(document)
        characters += len(document.text)
        if len(batch) == _DOCUMENTS or characters > _CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def commit(writer: Writer, request: Request) -> Receipt:
    """The receipt of ``request``; flushes when that is due. Raises its error."""
    (outcome,) = writer.commit([request])
    if isinstance(outcome, LurcherError):
        raise outcome
    if writer.flush_is_due:
        writer.flush()
    return outcome
