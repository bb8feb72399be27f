"""A corpus into a collection in shards: the next version of it, in which only what has changed is encoded.

The version that is there is left as it is, because it may be served: shards are copied as hard links, each
takes in those documents that the hash of their ids gives it, and a new ``cluster.json`` names them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path

import numpy as np

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.filter_fields import FilterFields
from lurcher.bundle.frequencies import Frequencies
from lurcher.bundle.manifest import MANIFEST, hash_file, lurcher_version
from lurcher.bundle.passages import Rows
from lurcher.bundle.sync import sync_all
from lurcher.cluster.cluster_file import (
    BundleEntry,
    ClusterFile,
    WordsEntry,
    check_bundles,
    read_cluster,
    shard_entry,
    write_cluster,
    write_rows,
)
from lurcher.cluster.copies import Changed, firsts_after
from lurcher.cluster.row_numbers import RowNumbers
from lurcher.cluster.sharding import shard_of
from lurcher.cluster.sync_known import carry_on, mark_changed
from lurcher.errors import BundleError, FieldError
from lurcher.index_builder.corpus import Record
from lurcher.index_builder.edit.encoded_texts import LoadEncoder
from lurcher.index_builder.edit.merge_policy import Size, WritePolicy
from lurcher.index_builder.edit.snapshots import snapshot
from lurcher.index_builder.edit.sync import Done, delete_documents, document_hashes, take_in
from lurcher.index_builder.edit.writer import Writer
from lurcher.index_builder.progress import Reporter, Silent

_WORDS = "words"

ReadRecords = Callable[[], Iterator[Record]]
OpenWriter = Callable[[Path, WritePolicy], Writer]

# Nothing is merged before all is written, so that passages stay in the order in which they came; what is in
# memory goes to the disk at so many.
_AS_WRITTEN = WritePolicy(20_000, age=inf, step=1 << 40, most_deleted=1.0)


class _OneSegment(WritePolicy):
    """Makes one segment of all. Document frequencies, which all shards have in common, stay as they are."""

    def to_merge(self, sizes: Sequence[Size]) -> list[int]:
        whole = len(sizes) == 1 and not sizes[0].deleted
        return [] if whole else list(range(len(sizes)))


@dataclass(frozen=True, slots=True, eq=False)
class _Written:
    """A shard that has its documents.

    kept    (k,) numbers of its passages that stayed, which are its first
    firsts  (b,) of the first of these (``copies``), which the build had, as they were before
    places  (n,) of the documents of its other passages in the corpus that was read
    """

    kept: Rows
    firsts: Rows
    places: Rows


def sync_cluster(
    file: Path, out: Path, read: ReadRecords, report: Reporter | None = None, *, threads: int = 1,
    ranker_model: Path | None = None, load_encoder: LoadEncoder | None = None,
) -> tuple[ClusterFile, Done]:  # fmt: skip
    """Write the collection of ``file``, made equal to a corpus, into the new folder ``out``.

    Returns its ``cluster.json`` and what was done. ``read`` gives the records of the corpus, in the same
    order each time; it is called once for every shard. ``ranker_model`` and ``load_encoder`` are as in
    ``Writer.open``. Whatever fails leaves no ``out``. Raises FieldError if ``out`` exists, for an id that is
    there twice, and for a corpus without a document; CorpusError for a bad record; BundleError; ModelError.
    """
    report = report or Silent()
    if os.path.lexists(out):
        raise FieldError("out", f"{out} exists; remove it first, or choose another name")
    folder, cluster = file if file.is_dir() else file.parent, read_cluster(file)
    check_bundles(folder, cluster)

    def open_writer(path: Path, policy: WritePolicy) -> Writer:
        return Writer.open(
            path, threads=threads, policy=policy, ranker_model=ranker_model,
            load_encoder=load_encoder, check_hashes=False,
        )  # fmt: skip

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as work:
            made = Path(work) / out.name
            made.mkdir()
            total, written = Done(), list[_Written]()
            for number, entry in enumerate(cluster.shards):
                snapshot(folder / entry.path, made / entry.path)
                records = partial(_records_of, number, len(cluster.shards), read())
                numbers = RowNumbers.read(folder, cluster, number)
                one, done = _write(made / entry.path, numbers, records, open_writer, report)
                written.append(one)
                total.written += done.written
                total.unchanged += done.unchanged
                total.deleted += done.deleted
            if not total.written + total.unchanged:
                raise FieldError("corpus", "has no document; a collection needs one")
            following = _publish(folder, cluster, made, written)
            made.rename(out)
            sync_all([out.parent])
    except OSError as error:  # a full disk, most likely
        raise BundleError(out, f"cannot be written: {error}") from error
    return following, total


def _records_of(
    number: int, shards: int, records: Iterator[Record], places: dict[str, int]
) -> Iterator[Record]:
    """Those of ``records`` that shard ``number`` takes, and the bad ones; notes ``places`` of documents."""
    for place, record in enumerate(records):
        document = record.document
        if document is None:
            yield record
        elif shard_of(document.id, shards) == number:
            places.setdefault(document.id, place)
            yield record


def _write(
    path: Path, numbers: RowNumbers, records: Callable[[dict[str, int]], Iterator[Record]],
    open_writer: OpenWriter, report: Reporter,
) -> tuple[_Written, Done]:  # fmt: skip
    """Make the shard at ``path``, whose passages have ``numbers``, equal to ``records``, in one segment."""
    places: dict[str, int] = {}
    with closing(open_writer(path, _AS_WRITTEN)) as writer:
        writer.flush()  # what is in its log, so that no row moves below
        had = numbers.of(writer.bundle, np.arange(writer.bundle.rows.count))
        firsts = numbers.firsts[: numbers.built_in(writer.bundle)]
        stored = document_hashes(writer.bundle)
        done = take_in(writer, records(places), report)
        gone = [id_ for id_ in stored if id_ not in places]
        delete_documents(writer, gone)
        done.deleted = len(gone)
        writer.flush()
        live = writer.bundle.rows.live
        kept = had if live is None else had[live[: len(had)]]
        firsts = firsts if live is None else firsts[live[: len(firsts)]]
    with closing(open_writer(path, _OneSegment())) as writer:
        writer.compact()
        added = np.arange(len(kept), writer.bundle.rows.count)
        documents = writer.bundle.passages.documents(added)
    following = np.array([places[one] for one in documents], np.int64)
    return _Written(kept, firsts, following), done


def _publish(
    folder: Path, before: ClusterFile, made: Path, written: Sequence[_Written]
) -> ClusterFile:
    """Write the coordinator, the rows of all shards and ``cluster.json`` into ``made``."""
    snapshot(folder / before.coordinator.path, made / before.coordinator.path)
    mark_changed([made / entry.path for entry in before.shards])
    with ExitStack() as stack:
        bundles = [
            stack.enter_context(closing(Bundle.open(made / one.path, check_hashes=False)))
            for one in before.shards
        ]
        rows = _numbered(written)
        changed = [
            Changed(bundle, own, one.firsts)
            for bundle, own, one in zip(bundles, rows, written, strict=True)
        ]
        entries = []
        for entry, own, firsts in zip(before.shards, rows, firsts_after(changed), strict=True):
            write_rows(made / entry.rows, own, firsts)
            entries.append(shard_entry(made, entry.path, entry.rows))
        fields = [one.passages.filter_fields for bundle in bundles for one in bundle.segments]
        held = FilterFields.joined(fields).held
        words = _write_words(bundles, made)
        head = before.coordinator.path
        carry_on(made / head, bundles)
    cluster = before.model_copy(
        update={
            "lurcher_version": lurcher_version(), "fields": held, "shards": entries, "words": words,
            "passages": sum(one.passages for one in entries),
            "coordinator": BundleEntry(path=head, manifest=hash_file(made / head / MANIFEST).sha256),
        }
    )  # fmt: skip
    check_bundles(made, cluster)
    write_cluster(made, cluster)
    sync_all([*made.rglob("*"), made])
    return cluster


def _write_words(bundles: Sequence[Bundle], made: Path) -> WordsEntry | None:
    """Write into ``made`` how many passages of ``bundles`` have each term, if words are looked for."""
    parts = [one.segments[0].lexical for one in bundles]
    counted = [Frequencies.of(one) for one in parts if one is not None]
    if not counted:
        return None
    held = Frequencies.summed(counted)
    files = {one.name: hash_file(one).sha256 for one in held.write(made, _WORDS)}
    return WordsEntry(
        path=_WORDS, terms=len(held.vocabulary), term_bytes=held.term_bytes, files=files
    )


def _numbered(written: Sequence[_Written]) -> list[Rows]:
    """The rows (n,) of each shard's passages: what stayed keeps its order, the others follow as they came.

    That is their order in one bundle of the whole corpus to which the same was done.
    """
    kept = np.sort(np.concatenate([one.kept for one in written]))
    first, places = len(kept), np.concatenate([one.places for one in written])
    following = np.empty(len(places), np.int64)
    # All passages of a document are in one shard, side by side: a stable sort leaves them in their order.
    following[np.argsort(places, kind="stable")] = np.arange(first, first + len(places))
    ends = np.cumsum([len(one.places) for one in written])[:-1]
    added = np.split(following, ends)
    return [
        np.concatenate([np.searchsorted(kept, one.kept), own])
        for one, own in zip(written, added, strict=True)
    ]
