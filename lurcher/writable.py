"""Opening a bundle in this process; and one that is written, as by a server with ``writable``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, overload

from lurcher.collection import Collection, PassageView
from lurcher.collection import open_collection as open_read_only
from lurcher.errors import FieldError, LurcherError
from lurcher.following import FollowingCollection
from lurcher.index_builder.corpus.passage import BadRecord, document_of
from lurcher.index_builder.edit.follower import Follower
from lurcher.index_builder.edit.requests import Delete, Patch, Receipt, Request, Upsert
from lurcher.index_builder.edit.writer import Writer
from lurcher.models.engines import EngineName
from lurcher.retrieval.filters import parse_filter
from lurcher.retrieval.snapshot import Snapshot
from lurcher.threads import thread_count


@overload
def open_collection(
    path: str | Path, *, threads: int | None = None, engine: EngineName = "auto",
    check_hashes: bool = True, writable: Literal[False] = False, follow: Literal[False] = False,
) -> Collection: ...  # fmt: skip
@overload
def open_collection(
    path: str | Path, *, threads: int | None = None, engine: EngineName = "auto",
    check_hashes: bool = True, writable: Literal[True], follow: Literal[False] = False,
    ranker_model: str | Path | None = None,
) -> WritableCollection: ...  # fmt: skip
@overload
def open_collection(
    path: str | Path, *, threads: int | None = None, engine: EngineName = "auto",
    check_hashes: bool = True, writable: Literal[False] = False, follow: Literal[True],
) -> FollowingCollection: ...  # fmt: skip
def open_collection(
    path: str | Path, *, threads: int | None = None, engine: EngineName = "auto",
    check_hashes: bool = True, writable: bool = False, follow: bool = False,
    ranker_model: str | Path | None = None,
) -> Collection:  # fmt: skip
    """The bundle at ``path``, ready to answer, and to be written if it is to be ``writable``.

    With ``follow`` searches find what another process has written, else the generation that there is now.
    ``threads`` None takes all cores that the process may use. ``check_hashes`` False trusts the disk.
    ``ranker_model`` is the folder of a T5 that ranks in it, which documents need to be written. Raises
    BundleError or ModelError, and FieldError where another process writes the bundle that is to be
    ``writable``, or for ``writable`` and ``follow`` together.
    """
    if writable and follow:
        raise FieldError(
            "follow", "writable has all that is written; there is no other writer to follow"
        )
    count = thread_count(threads)
    if follow:
        follower = Follower.open(Path(path), threads=count, check_hashes=check_hashes)
        try:
            return FollowingCollection(follower, Snapshot(follower.reader(), count, engine))
        except BaseException:
            follower.abandon()
            raise
    if not writable:
        return open_read_only(path, threads=threads, engine=engine, check_hashes=check_hashes)
    model = None if ranker_model is None else Path(ranker_model)
    writer = Writer.open(Path(path), threads=count, check_hashes=check_hashes, ranker_model=model)
    try:
        return WritableCollection(writer, Snapshot(writer.reader(), count, engine))
    except BaseException:
        writer.abandon()
        raise


class WritableCollection(Collection):
    """An opened bundle that this process alone writes; safe to call from several threads. Close it."""

    def __init__(self, writer: Writer, snapshot: Snapshot) -> None:
        super().__init__(snapshot)
        self._writer = writer

    @property
    def sequence(self) -> int:
        """The number of the last write."""
        return self._writer.sequence

    def upsert(
        self, records: Iterable[Mapping[str, Any]], *, keep_feedback: bool = False
    ) -> Receipt:
        """Add documents, or replace those of the same ids; each is a record as a line of a JSONL corpus.

        With ``keep_feedback``, known queries of passages whose text is another now count on. Raises
        FieldError for a record that cannot be used, naming it; then none is written.
        """
        documents = []
        for place, record in enumerate(records):
            fields = dict(record)
            nested = fields.pop("metadata", {})
            try:
                documents.append(document_of(fields, dict(nested)))
            except BadRecord as error:
                raise FieldError(f"records.{place}", str(error)) from error
        return self._write(Upsert(tuple(documents), check_kinds=True, keep_feedback=keep_feedback))

    def delete(
        self, ids: Sequence[str] | None = None, *, filter: Mapping[str, Any] | str | None = None,
        confirm: bool = False,
    ) -> Receipt:  # fmt: skip
        """Delete passages and documents by ``ids``, or passages that meet ``filter``.

        Raises FieldError, also where a filter would delete everything, without ``confirm``.
        """
        if (ids is None) == (filter is None):
            raise FieldError("ids", "give either ids or filter")
        tests = None if filter is None else parse_filter(filter)
        if tests == ():
            raise FieldError("filter", "has no condition; it would delete everything")
        return self._write(Delete(tuple(ids or ()), tests, confirm=confirm))

    def patch(self, metadata: Mapping[str, Mapping[str, Any]]) -> Receipt:
        """Merge each value of ``metadata`` into that of the passage or document of this id; None takes away.

        Raises FieldError for an id that nothing has.
        """
        return self._write(Patch(metadata, check_kinds=True))

    def flush(self) -> None:
        """Write what is in memory to the bundle's files. Raises BundleError."""
        with self._lock:
            self._writer.flush()

    def _write(self, request: Request) -> Receipt:
        with self._lock:
            (outcome,) = self._writer.commit([request])
            if isinstance(outcome, LurcherError):
                raise outcome
            if self._writer.flush_is_due:
                self._writer.flush()
                while self._writer.compact():
                    pass
            before, self._snapshot = self._snapshot, self._snapshot.moved(self._writer.reader())
            self.passages = PassageView(self._snapshot.bundle.passages)
            before.close()
        return outcome

    def close(self) -> None:
        """Write all to the disk and close the files, once no other thread is being answered."""
        super().close()
        self._writer.close()
