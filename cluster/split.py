"""One bundle to the bundles of its shards, which score every passage as it does.

Models and coders are hard links, document frequencies and average length are written down, and vectors and
codes are copied as they are stored: nothing is encoded or learnt anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.chunks import chunks
from lurcher.bundle.codecs import Codecs
from lurcher.bundle.frequencies import LEXICAL, Frequencies
from lurcher.bundle.generations import next_generation
from lurcher.bundle.manifest import (
    MANIFEST,
    Manifest,
    hash_file,
    list_files,
    lurcher_version,
    write_manifest,
)
from lurcher.bundle.neighbours import NEIGHBOURS, NeighbourSettings
from lurcher.bundle.passages import Rows
from lurcher.bundle.sync import sync_all
from lurcher.cluster.cluster_file import (
    COORDINATOR,
    FORMAT,
    BundleEntry,
    ClusterFile,
    frozen_parts,
    shard_entry,
    write_cluster,
    write_rows,
)
from lurcher.cluster.copies import firsts_of
from lurcher.cluster.sharding import rows_by_shard
from lurcher.cluster.split_known import SplitKnown
from lurcher.errors import FieldError
from lurcher.index_builder.edit.disk_segment import write_segment
from lurcher.index_builder.edit.encode import Encoded
from lurcher.index_builder.edit.gather import Gatherer
from lurcher.index_builder.progress import Reporter
from lurcher.models.encoders.merge import link_or_copy

_SEGMENT = "000000"
_FREQUENCIES = f"{LEXICAL}/000001"


def split(whole: Bundle, out: Path, shards: int, report: Reporter) -> ClusterFile:
    """Write ``whole``, of one segment, into the new folder ``out`` as ``shards``.

    Raises FieldError where some shards would have no document for sure, BundleError, and OSError.
    """
    manifest = whole.manifest
    documents = len(whole.passages.document_sizes())
    if documents < shards:
        reason = f"{shards} shards for {documents} documents, each of which lies in one: take fewer"
        raise FieldError("shards", reason)
    rows = rows_by_shard(whole.passages.documents(np.arange(len(whole.all_rows()))), shards)
    firsts = firsts_of(whole.copies, manifest.passages)
    out.mkdir(parents=True)
    report.stage("splitting", manifest.passages)
    writer = _Writer(whole, out)
    head = writer.write(COORDINATOR, np.zeros(0, np.int64), report)
    entries = []
    for number, own in enumerate(rows):
        name, file = f"shard-{number:03}.lurcher", f"shard-{number:03}.rows.npy"
        writer.write(name, own, report)
        write_rows(out / file, own, firsts[own])
        entries.append(shard_entry(out, name, file))
    cluster = ClusterFile(
        format=FORMAT, lurcher_version=lurcher_version(), name=manifest.name,
        created=manifest.created, passages=manifest.passages, frozen=frozen_parts(head),
        fields=whole.segments[0].passages.filter_fields.held,
        coordinator=BundleEntry(
            path=COORDINATOR, manifest=hash_file(out / COORDINATOR / MANIFEST).sha256
        ),
        shards=entries,
    )  # fmt: skip
    write_cluster(out, cluster)
    sync_all([*out.rglob("*"), out])
    return cluster


class _Writer:
    """Writes bundles of some passages of ``whole`` into the folder ``out``."""

    def __init__(self, whole: Bundle, out: Path) -> None:
        self._whole, self._out = whole, out
        (self._segment,) = whole.segments
        words = self._segment.lexical
        self._counted = None if words is None else Frequencies.of(words)
        known = whole.neighbours
        self._known = None if known is None else SplitKnown(whole, known)

    def write(self, name: str, rows: Rows, report: Reporter) -> Manifest:
        """The manifest of the bundle ``name`` with the passages at ``rows`` (n,), in that order."""
        whole, root = self._whole, self._out / name
        root.mkdir()
        for file in whole.files():
            if file.parts[0] not in ("segments", LEXICAL, NEIGHBOURS):
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                link_or_copy(whole.path / file, root / file)
        manifest, counted = whole.manifest, self._counted
        if counted is not None and manifest.lexical is not None:
            counted.write(root, _FREQUENCIES)
            sizes = {"terms": len(counted.vocabulary), "term_bytes": counted.term_bytes}
            words = manifest.lexical.model_copy(update=sizes)
            manifest = manifest.model_copy(update={"lexical": words})
        codecs: Codecs = replace(whole.codecs, frequencies=counted)
        entry, _ = write_segment(
            root, _SEGMENT, len(rows), self._blocks(rows, report), manifest, codecs,
            self._segment.vectors,
        )  # fmt: skip
        settings, later = self._write_known(root, rows)
        named = {
            "name": name.removesuffix(".lurcher"), "generation": int(later), "coverage": None,
            "neighbours": settings,
        }  # fmt: skip
        found = next_generation(manifest.model_copy(update=named), [entry], list_files(root))
        write_manifest(root, found)
        return found

    def _write_known(self, root: Path, rows: Rows) -> tuple[NeighbourSettings | None, bool]:
        """What the manifest says of known queries, and whether passages are others than were adapted."""
        if self._known is None:
            return None, False
        if not len(rows):  # the coordinator's
            return self._known.write_head(root), True
        return self._known.write_part(root, rows), self._known.changed

    def _blocks(self, rows: Rows, report: Reporter) -> Iterator[Encoded]:
        """What the bundle has of the passages at ``rows``, some at a time."""
        whole = self._whole
        reader = Gatherer(whole.path, whole.manifest, whole.codecs, self._segment)
        for places in chunks(len(rows)):
            yield reader.read(rows[places])
            report.advance(len(rows[places]))
