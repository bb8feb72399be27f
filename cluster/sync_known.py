"""Known queries in the next version of a collection: labels follow their passages, as in one bundle.

A shard's writer drops labels of passages that are gone, or have another text now, from the shard. Here the
coordinator learns what those that are left score.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.manifest import Manifest, hash_file, read_manifest, write_manifest
from lurcher.bundle.neighbours import SCORES, NeighbourFiles, Neighbours
from lurcher.bundle.places import new_place, place_of
from lurcher.bundle.vectors import Vectors


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


def carry_on(head: Path, bundles: Sequence[Bundle]) -> None:
    """Let the coordinator ``head`` know what labels of passages of ``bundles`` score, if it knows queries.

    Raises BundleCorrupt and OSError.
    """
    manifest = read_manifest(head)
    if manifest.neighbours is None:
        return
    files = NeighbourFiles.open(head, manifest.neighbours, manifest.files)
    files.uses.retain()
    try:
        scores = _scores(files, bundles)
        if scores is not None:
            _write_scores(head, manifest, scores)
    finally:
        files.uses.release()


def _scores(files: NeighbourFiles, bundles: Sequence[Bundle]) -> Vectors | None:
    """The scores (labels,) of the labels of ``files``; None: as they were, as no passage has changed."""
    numbers = {id_: number for number, id_ in enumerate(files.ids)}
    scores, changed = np.array(files.scores), False
    for bundle in bundles:
        known = bundle.neighbours
        if known is None or known.vectors is None:
            changed |= known is None  # all of its labels are gone
            continue
        changed = True
        at = np.array([numbers[id_] for id_ in known.files.ids], np.int64)
        there = known.numbered >= 0
        numbered = np.full(len(files.ids), -1)
        numbered[at[there]] = known.numbered[there]
        places = files.labels.located(numbered)[1]
        its = Neighbours.of(files, bundle.rows.count, numbered, known.vectors)
        scores[places] = its.scores_of(np.arange(len(places)))
        its.close()
    return scores if changed else None


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
