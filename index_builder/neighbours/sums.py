"""What labels come to: each label's score, and each passage's sum over its known queries."""

from __future__ import annotations

import numpy as np

from lurcher.bundle.passages import Rows
from lurcher.bundle.segmented.vectors import VectorStore
from lurcher.bundle.vectors import Vectors
from lurcher.index_builder.neighbours.splits import JudgedQueries
from lurcher.models.neighbours.nearness import Array

CHUNK = 65_536  # labels whose passages are in memory at once
_ROWS = 4_096  # passages whose known queries are


def label_scores(index: VectorStore, queries: JudgedQueries, at_once: int = CHUNK) -> Array:
    """The inner product (n,) of each label's passage with its query."""
    owner = np.repeat(np.arange(len(queries.vectors)), np.diff(queries.labels.indptr))
    scores = np.empty(len(owner), np.float32)
    for start in range(0, len(owner), at_once):
        part = slice(start, start + at_once)
        passages = index.vectors(queries.labels.rows[part])
        scores[part] = (passages * queries.vectors[owner[part]]).sum(axis=1)
    return scores


def label_sums(queries: JudgedQueries, labelled: Rows, at_once: int = _ROWS) -> Vectors:
    """The weighted sum (m, d) of the queries of each of the passages ``labelled``, ascending."""
    owner = np.repeat(np.arange(len(queries.vectors)), np.diff(queries.labels.indptr))
    by_row = np.argsort(queries.labels.rows, kind="stable")
    total = np.empty((len(labelled), queries.vectors.shape[1]), np.float32)
    starts = np.searchsorted(queries.labels.rows[by_row], labelled)
    ends = np.append(starts[1:], len(by_row))
    for start in range(0, len(labelled), at_once):
        stop = min(start + at_once, len(labelled))
        mine = by_row[starts[start] : ends[stop - 1]]
        weighted = queries.vectors[owner[mine]] * queries.labels.weights[mine, None]
        total[start:stop] = np.add.reduceat(weighted, starts[start:stop] - starts[start], axis=0)
    return total
