"""From known queries to the labels of a bundle: passage ids become rows, and weights comparable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from lurcher.bundle.labels import Labels
from lurcher.bundle.parts import nearest_parts
from lurcher.bundle.segmented.passages import PassageStore
from lurcher.bundle.segmented.vectors import VectorStore
from lurcher.bundle.vectors import Vectors
from lurcher.errors import FieldError
from lurcher.index_builder.judged.known import Known

_SHOWN = 3
_LEAST = np.finfo(np.float32).tiny


def named(passages: PassageStore) -> Callable[[Sequence[str]], dict[str, int]]:
    """What gives the rows of passages by id, and for the id of a document that was split its first row.

    With it, ``to_labels`` tells what judgements name before it is known which passage of a document is meant.
    """

    def rows_of(ids: Sequence[str]) -> dict[str, int]:
        first = {document: own[0] for document, own in passages.parts(ids).items()}
        rows = passages.rows_of([*ids, *first.values()])
        found = {document: rows[part] for document, part in first.items()}
        return found | {id_: rows[id_] for id_ in ids if id_ in rows}

    return rows_of


def at_nearest_parts(
    known: Sequence[Known], queries: Vectors, passages: PassageStore, index: VectorStore
) -> list[Known]:
    """The queries with the labels of documents given to the passage of each that is nearest to the query.

    ``queries`` (n, d) are their vectors. A passage that is judged itself keeps its own label.
    """
    ids = list({label for query in known for label in query.labels})
    documents = passages.parts(ids).keys()
    pairs = [
        (row, label)
        for row, query in enumerate(known)
        for label in query.labels
        if label in documents
    ]
    labels = [dict(query.labels) for query in known]
    for (row, document), part in zip(
        pairs, nearest_parts(pairs, queries, passages, index), strict=True
    ):
        labels[row].setdefault(part, labels[row].pop(document))
    return [replace(query, labels=own) for query, own in zip(known, labels, strict=True)]


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
