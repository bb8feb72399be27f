"""Bundles of several segments and deletions, made of one that was built."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lurcher.bundle.bundle import SEGMENT, Bundle
from lurcher.bundle.copies import words_key
from lurcher.bundle.frequencies import Frequencies
from lurcher.bundle.generations import next_generation, publish_generation
from lurcher.bundle.jagged import JaggedStore
from lurcher.bundle.manifest import FileEntry, Manifest, SegmentEntry, hash_file, read_manifest
from lurcher.bundle.passages import Passage, Passages, Rows
from lurcher.bundle.postings import Postings
from lurcher.bundle.segment import Segment
from lurcher.bundle.tombstones import deleted_file, write_deleted
from lurcher.bundle.vectors import VectorIndex
from lurcher.index_builder.near_duplicates import first_alike

SECOND = "segments/000001"


def frozen(bundle: Bundle) -> Bundle:
    """``bundle``, whose document frequencies stay as they are whatever becomes of its segments."""
    words = bundle.segments[0].lexical
    assert words is not None
    codecs = replace(bundle.codecs, frequencies=Frequencies.of(words))
    return replace(bundle, codecs=codecs)


def piece(
    whole: Segment, rows: Sequence[int], passages: Sequence[Passage] | None = None
) -> Segment:
    """A segment in memory of the passages at ``rows`` of ``whole``, or of others, encoded like them."""
    order = np.array(rows, np.int64)
    kept = list(passages or whole.passages.get(rows))
    texts = [passage.text for passage in kept]
    assert whole.vectors is not None
    return Segment.of(
        "", Passages.in_memory(kept),
        vectors=VectorIndex.like(whole.vectors, whole.vectors.vectors(order)),
        lexical=None if whole.lexical is None else _words(whole.lexical, order),
        tokens=_entries(whole.tokens, order), reading=_entries(whole.reading, order),
        states=_entries(whole.states, order), copies=first_alike(texts),
        keys=np.array([words_key(text) for text in texts], np.uint64),
    )  # fmt: skip


def _entries(store: JaggedStore | None, rows: Rows) -> JaggedStore | None:
    if store is None:
        return None
    columns = [store.gather(rows, number)[0] for number in range(len(store.columns))]
    return JaggedStore.of(columns, store.counts(rows).reshape(-1, 1))


def _words(postings: Postings, rows: Rows) -> Postings:
    terms, counts, kept, steps = [], [], [], []
    places = {row: place for place, row in enumerate(rows.tolist())}
    letters, starts = postings.vocabulary.terms.columns[0], postings.vocabulary.terms.starts
    for place in range(len(postings.vocabulary)):
        held, saturation = postings.of_term(place)
        own = sorted(
            (places[row], step)
            for row, step in zip(held.tolist(), saturation.tolist(), strict=True)
            if row in places
        )
        if own:
            terms.append(letters[starts[place] : starts[place + 1]].tobytes())
            counts.append(len(own))
            kept += [row for row, _ in own]
            steps += [step for _, step in own]
    return Postings.of(
        len(rows), terms, np.array(counts, np.int64), np.array(kept, np.int64), np.array(steps, np.uint8)
    )  # fmt: skip


def publish(
    path: Path, segments: Sequence[SegmentEntry], files: dict[str, FileEntry], **how: Any
) -> Manifest:
    manifest = next_generation(read_manifest(path), segments, files)
    publish_generation(path, manifest, **how)
    return manifest


def without(path: Path, entry: SegmentEntry, rows: Sequence[int]) -> SegmentEntry:
    """``entry`` with ``rows`` deleted; writes which these are."""
    manifest = read_manifest(path)
    deleted = np.zeros(entry.passages, np.bool_)
    deleted[list(rows)] = True
    name = deleted_file(entry.folder, manifest.generation + 1)
    write_deleted(path, name, deleted)
    stores = manifest.stores_of(entry)
    return entry.model_copy(update={"deleted": name, "deletions": len(rows), "stores": stores})


def files_with(path: Path, *new: str | None) -> dict[str, FileEntry]:
    """All files of the bundle with some new ones."""
    added = {name: hash_file(path / name) for name in new if name is not None}
    return read_manifest(path).files | added


def cut_in_two(path: Path) -> None:
    """Make two segments of a bundle of 60: the last ten passages of the first, the others of its copy."""
    shutil.copytree(path / SEGMENT, path / SECOND)
    (first,) = read_manifest(path).segments
    entries = [
        without(path, first, range(50)),
        without(path, first.model_copy(update={"name": "000001"}), range(50, 60)),
    ]
    new = [f"{SECOND}/{file.name}" for file in (path / SECOND).iterdir()]
    publish(path, entries, files_with(path, *new, *(one.deleted for one in entries)))
