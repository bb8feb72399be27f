"""From known queries to the labels of a bundle: passage ids become rows, and weights comparable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from lurcher.bundle.labels import Labels
from lurcher.errors import FieldError
from lurcher.index_builder.judged.known import Known

_SHOWN = 3
_LEAST = np.finfo(np.float32).tiny


def with_parts(
    known: Sequence[Known], parts_of: Callable[[Sequence[str]], dict[str, list[str]]]
) -> list[Known]:
    """The queries with the labels of documents given to each of their passages that has none itself.

    ``parts_of`` gives the ids of the passages of documents that were split.
    """
    parts = parts_of(list({label for query in known for label in query.labels}))
    if not parts:
        return list(known)
    return [
        replace(
            query,
            labels={
                part: weight
                for label, weight in query.labels.items()
                for part in parts.get(label, ())
            }
            | {label: weight for label, weight in query.labels.items() if label not in parts},
        )
        for query in known
    ]


def to_labels(
    known: Sequence[Known], rows_of: Callable[[Sequence[str]], dict[str, int]], skip_unknown: bool
) -> tuple[list[Known], Labels, int]:
    """The queries that have labels, with those; their Labels; how many passages were left out.

    ``rows_of`` gives the rows of the passages that the bundle has, by id. Weights are divided by the
    largest of their query, since one log's counts say nothing of another's. Raises FieldError where
    the bundle lacks a passage, unless such are to be skipped, and where it has none of them.
    """
    ids = list(dict.fromkeys(passage for query in known for passage in query.labels))
    rows = rows_of(ids)
    unknown = [passage for passage in ids if passage not in rows]
    if not ids:
        raise FieldError("queries", "no query with a judged passage")
    if len(unknown) == len(ids):
        raise FieldError(
            "qrels",
            f"none of {len(ids):,} judged passages is in the bundle; are they of its corpus?",
        )
    if unknown and not skip_unknown:
        first = ", ".join(map(repr, unknown[:_SHOWN]))
        raise FieldError(
            "qrels",
            f"{len(unknown):,} of {len(ids):,} judged passages are not in the bundle"
            f" (first: {first}); pass --skip-unknown to leave them out",
        )
    kept = [
        replace(query, labels=labels)
        for query in known
        if (labels := {p: weight for p, weight in query.labels.items() if p in rows})
    ]
    return kept, _matrix(kept, rows), len(unknown)


def _matrix(known: Sequence[Known], rows: dict[str, int]) -> Labels:
    """The Labels of queries each of which has one at least."""
    counts = [len(query.labels) for query in known]
    indptr = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    found = np.array([rows[passage] for query in known for passage in query.labels], np.int64)
    weights = np.array([w for query in known for w in query.labels.values()], np.float64)
    weights /= np.repeat(np.maximum.reduceat(weights, indptr[:-1]), counts)
    order = np.lexsort((found, np.repeat(np.arange(len(known)), counts)))
    # Beside a very large weight, a very small one would round to 0, which is no label.
    return Labels(indptr, found[order], np.maximum(weights[order], _LEAST).astype(np.float32))
