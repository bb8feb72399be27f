"""The known queries of one bundle to those of its shards and of its coordinator (``cluster.known``).

Scores, means and vectors are those that the bundle has, so that passages score as they do in it.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.chunks import chunks
from lurcher.bundle.index_codes import add_vectors
from lurcher.bundle.labels import Labels
from lurcher.bundle.neighbours import (
    ADAPTED,
    LABELS,
    LENGTHS,
    MEANS,
    NEIGHBOURS,
    QUERIES,
    SCORES,
    TEXTS,
    Neighbours,
    NeighbourSettings,
)
from lurcher.bundle.passages import PassageWriter, Rows
from lurcher.bundle.vectors import FEW, VectorIndex, write_index
from lurcher.models.encoders.merge import link_or_copy

_NO_ROWS = np.zeros(0, np.int64)


class SplitKnown:
    """Writes known queries of the bundle ``whole`` into the bundles of a cluster."""

    def __init__(self, whole: Bundle, known: Neighbours) -> None:
        self._path, self._known = whole.path, known

    def write_head(self, root: Path) -> NeighbourSettings:
        """Write all of them into the coordinator at ``root``, with all their labels. Raises OSError."""
        known = self._known
        (root / NEIGHBOURS).mkdir()
        for file in (QUERIES, TEXTS):
            link_or_copy(self._path / file, root / file)
        self._write_labels(root, known.labels, np.arange(len(known.labels.rows)), known.rows)
        self._write_adapted(root, _NO_ROWS)
        return self._settings(known.labels, known.settings.sources)

    def write_part(self, root: Path, rows: Rows) -> NeighbourSettings:
        """Write those that passages ``rows`` (n,), ascending, have labels of into the shard at ``root``.

        Raises OSError.
        """
        known = self._known
        (root / NEIGHBOURS).mkdir()
        own = np.full(known.passages, -1)
        own[rows] = np.arange(len(rows))
        labels, places = known.labels.located(own)
        numbers = np.flatnonzero(np.diff(labels.indptr))
        labels = labels.select(numbers)
        self._write_labels(root, labels, places, known.rows[own[known.rows] >= 0])
        _write_some(known.queries, numbers, root / QUERIES)
        self._write_adapted(root, rows)
        return self._settings(labels, self._write_texts(root, numbers))

    @property
    def changed(self) -> bool:
        """Whether passages have changed since the bundle was adapted, which ``generation`` tells then."""
        return self._known.vectors is not None

    def _settings(self, labels: Labels, sources: dict[str, int]) -> NeighbourSettings:
        """What the manifest says of known queries with ``labels``, from ``sources``."""
        counts = {
            "queries": len(labels.indptr) - 1, "labels": len(labels.rows),
            "passages": len(np.unique(labels.rows)), "sources": sources, "generation": 1,
        }  # fmt: skip
        return self._known.settings.model_copy(update=counts)

    def _write_labels(self, root: Path, labels: Labels, places: Rows, labelled: Rows) -> None:
        """Write ``labels``, which stand at ``places`` (n,) of all, of the passages ``labelled`` (q,)."""
        known = self._known
        at = known.mean_of[np.searchsorted(known.rows, labelled)]
        labels.save(root / LABELS, [known.files.ids[place] for place in at.tolist()])
        scores = [
            np.zeros(0, np.float32),
            *(known.scores_of(places[some]) for some in chunks(len(places))),
        ]
        np.save(root / SCORES, np.concatenate(scores))
        np.save(root / MEANS, known.means[at])
        np.save(root / LENGTHS, known.lengths[at])

    def _write_texts(self, root: Path, numbers: Rows) -> dict[str, int]:
        """Write the texts of the known queries ``numbers`` (m,); how many there are by source."""
        writer, sources = PassageWriter(root / TEXTS), Counter[str]()
        for some in chunks(len(numbers)):
            texts = self._known.texts.get(numbers[some].tolist())
            writer.append(texts, 0, 0)
            sources.update(str(one.metadata["source"]) for one in texts)
        writer.finish()
        return dict(sources)

    def _write_adapted(self, root: Path, rows: Rows) -> None:
        """Write the adapted vectors of ``rows`` (n,); none where they are made in memory."""
        adapted = self._known.files.adapted
        _write_some(adapted, _NO_ROWS if self.changed else rows, root / ADAPTED)


def _write_some(index: VectorIndex, rows: Rows, path: Path) -> None:
    """Write the vectors of ``rows`` (n,) of ``index``, coded as they are there."""
    some = index.emptied(scanned=len(rows) <= FEW)
    for part in chunks(len(rows)):
        add_vectors(some, np.ascontiguousarray(index.vectors(rows[part])))
    write_index(some, path)
