"""Known queries in the next version of a collection: labels follow their passages, as in one bundle.

A shard's writer drops labels of passages that are gone, or have another text now, from the shard. Here the
coordinator learns where those that are left lie, and what they score.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.manifest import Manifest, hash_file, read_manifest, write_manifest
from lurcher.bundle.neighbours import SCORES, NeighbourFiles, Neighbours
from lurcher.bundle.passages import Rows
from lurcher.bundle.places import new_place, place_of
from lurcher.bundle.vectors import Vectors
from lurcher.cluster.cluster_file import ClusterFile, KnownEntry
from lurcher.cluster.known import Labelled


def mark_changed(shards: Sequence[Path]) -> None:
    """Let all of ``shards`` know their passages as changed since they were adapted, if any's have changed.

    One bundle then finds only passages with labels by their adapted vectors, and so do its shards.
    """
    manifests = {path: read_manifest(path) for path in shards}
    same = [path for path, manifest in manifests.items() if _as_adapted(manifest)]
    if len(same) < len(shards):
        for path in same:
            manifest = manifests[path]
            later = manifest.model_copy(update={"generation": manifest.generation + 1})
            write_manifest(path, later)


def _as_adapted(manifest: Manifest) -> bool:
    known = manifest.neighbours
    return known is not None and known.generation == manifest.generation


def carry_on(
    before: ClusterFile, made: Path, bundles: Sequence[Bundle], rows: Sequence[Rows]
) -> KnownEntry | None:
    """Write what the coordinator in ``made`` has to know of the passages of ``bundles``, if it knows queries.

    ``rows`` are those of each bundle's passages in the whole corpus. Raises BundleCorrupt and OSError.
    """
    if before.known is None:
        return None
    head = made / before.coordinator.path
    manifest = read_manifest(head)
    assert manifest.neighbours is not None  # noqa: S101 (its cluster.json says so)
    files = NeighbourFiles.open(head, manifest.neighbours, manifest.files)
    files.uses.retain()
    try:
        labelled, scores = _found(files, bundles, rows)
        if scores is not None:
            _write_scores(head, manifest, scores)
    finally:
        files.uses.release()
    return labelled.write(made)


def _found(
    files: NeighbourFiles, bundles: Sequence[Bundle], rows: Sequence[Rows]
) -> tuple[Labelled, Vectors | None]:
    """Where the passages with labels lie now, -1 for none; and the labels' scores if any may be another."""
    numbers = {id_: number for number, id_ in enumerate(files.ids)}
    labelled = Labelled(np.full(len(files.ids), -1), np.full(len(files.ids), -1))
    scores, changed = np.array(files.scores), False
    for shard, (bundle, own) in enumerate(zip(bundles, rows, strict=True)):
        known = bundle.neighbours
        if known is None:  # all of its labels are gone
            changed = True
            continue
        at = np.array([numbers[id_] for id_ in known.files.ids], np.int64)
        at, here = at[known.numbered >= 0], known.numbered[known.numbered >= 0]
        labelled.shards[at], labelled.rows[at] = shard, own[here]
        if known.vectors is not None:
            changed = True
            numbered = np.full(len(files.ids), -1)
            numbered[at] = here
            places = files.labels.located(numbered)[1]
            its = Neighbours.of(files, bundle.rows.count, numbered, known.vectors)
            scores[places] = its.scores_of(np.arange(len(places)))
            its.close()
    return labelled, scores if changed else None


def _write_scores(head: Path, manifest: Manifest, scores: Vectors) -> None:
    """Let the coordinator ``head`` have other ``scores``."""
    files, generation = dict(manifest.files), manifest.generation + 1
    old, new = place_of(files, SCORES), new_place(SCORES, generation)
    (head / new).parent.mkdir()
    np.save(head / new, scores)
    (head / old).unlink()
    del files[old]
    files[new] = hash_file(head / new)
    change = {"generation": generation, "files": dict(sorted(files.items()))}
    write_manifest(head, manifest.model_copy(update=change))
