"""Which passage of a document that was split a judgement of the document is about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lurcher.bundle.segmented.passages import PassageStore
from lurcher.bundle.segmented.vectors import VectorStore
from lurcher.bundle.vectors import Vectors


def nearest_parts(
    pairs: Sequence[tuple[int, str]], queries: Vectors, passages: PassageStore, index: VectorStore
) -> list[str]:
    """The id of the passage nearest to the query, for each pair of a query and a document that was split.

    A pair is the row of the query in ``queries`` (n, d), of norm 1, and the document's id. Nearest is the
    largest inner product of the vectors; of equals, the first in the text.
    """
    by_document: dict[str, list[int]] = {}
    for place, (_, document) in enumerate(pairs):
        by_document.setdefault(document, []).append(place)
    parts = passages.parts(list(by_document))
    found: dict[int, str] = {}
    for document, places in by_document.items():
        ids = parts[document]
        rows = passages.rows_of(ids)
        vectors = index.vectors(np.array([rows[id_] for id_ in ids]))
        scores = queries[[pairs[place][0] for place in places]] @ vectors.T
        found |= zip(places, (ids[best] for best in scores.argmax(1).tolist()), strict=True)
    return [found[place] for place in range(len(pairs))]
