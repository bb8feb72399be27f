"""The labels of known queries without those of passages that are gone, or whose text is another now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lurcher.bundle.manifest import FileEntry, Manifest, hash_file
from lurcher.bundle.neighbours import (
    LABELS,
    LENGTHS,
    MEANS,
    NEIGHBOURS,
    SCORES,
    Neighbours,
)
from lurcher.bundle.places import new_place, place_of
from lurcher.bundle.sync import Disk

_REWRITTEN = (LABELS, SCORES, MEANS, LENGTHS)


@dataclass(frozen=True, slots=True)
class KeptLabels:
    """Files to take the place of others in the next generation."""

    files: dict[str, FileEntry]
    replaced: frozenset[str]

    def put_into(self, manifest: Manifest, known: Neighbours) -> Manifest:
        """``manifest`` with them, without those of ``known`` that are gone."""
        others = {name: one for name, one in manifest.files.items() if name not in self.replaced}
        settings = None
        if self.files:
            counts = {"labels": len(known.labels.rows), "passages": len(known.rows)}
            settings = known.settings.model_copy(update=counts)
        change = {"files": others | self.files, "neighbours": settings}
        return manifest.model_copy(update=change)


def write_kept_labels(
    root: Path, manifest: Manifest, known: Neighbours | None, disk: Disk
) -> KeptLabels | None:
    """Write those of the bundle at ``root`` that are left for the generation after ``manifest``.

    None where nothing is gone. Raises OSError.
    """
    if known is None or (known.numbered >= 0).all():
        return None
    there = known.numbered >= 0
    if not there.any():
        gone = (name for name in manifest.files if name.startswith(f"{NEIGHBOURS}/"))
        return KeptLabels({}, frozenset(gone))
    before, generation = known.files, manifest.generation + 1
    numbers = np.where(there, np.cumsum(there) - 1, -1)
    labels, places = before.labels.located(numbers)
    names = {one: new_place(one, generation) for one in _REWRITTEN}
    folder = (root / names[LABELS]).parent
    folder.mkdir(parents=True, exist_ok=True)
    ids = [id_ for id_, stays in zip(before.ids, there.tolist(), strict=True) if stays]
    labels.save(root / names[LABELS], ids)
    np.save(root / names[SCORES], np.asarray(before.scores[places]))
    np.save(root / names[MEANS], np.asarray(before.means[there]))
    np.save(root / names[LENGTHS], np.asarray(before.lengths[there]))
    files = [root / name for name in names.values()]
    disk.sync_all([*files, folder, folder.parent])
    replaced = frozenset(place_of(manifest.files, one) for one in _REWRITTEN)
    return KeptLabels({name: hash_file(root / name) for name in names.values()}, replaced)
