"""The recall of the index against exact search, and the least search effort that reaches a target.

The queries are made from the corpus itself, since a build has no others: the title of a sampled
passage, or the first words of its text. They are encoded as queries, so that they are distributed like
real ones: a passage's own vector would be too easy to find.
"""

from __future__ import annotations

import math

import numpy as np

from lurcher.bundle.passages import Passage, Rows
from lurcher.bundle.segmented.passages import PassageStore
from lurcher.bundle.segmented.vectors import VectorStore
from lurcher.bundle.vectors import VectorRows, exact_top
from lurcher.index_builder.progress import Reporter
from lurcher.models.encoders.encoder import Encoder

DEPTH = 100
SAMPLE = 500
_WORDS = 12
_FIRST_EFFORT = 16
_LAST_EFFORT = 4_096


def sample_queries(passages: PassageStore, seed: int) -> list[str]:
    """At most ``SAMPLE`` queries made from passages drawn at random."""
    size = min(SAMPLE, passages.count)
    rows = np.random.default_rng(seed).choice(passages.rows(()), size, replace=False)
    return [query for p in passages.get(sorted(rows.tolist())) if (query := _query(p))]


def _query(passage: Passage) -> str:
    words = passage.heading.split() if len(passage.heading.split()) > 2 else passage.text.split()
    return " ".join(words[:_WORDS])


def recall(found: Rows, exact: Rows) -> float:
    """The mean share of the rows of ``exact`` (B, k) that are in the same row of ``found`` (B, k)."""
    return float(np.mean([np.isin(e, f).mean() for e, f in zip(exact, found, strict=True)]))


def recall_at(
    index: VectorStore, vectors: VectorRows, encoder: Encoder, queries: list[str],
    effort: int | None,
) -> float:  # fmt: skip
    """The recall@100 of ``index`` at ``effort``, against exact search of ``vectors``."""
    if not queries:
        return 1.0
    encoded = encoder.encode(queries)
    depth = min(DEPTH, index.count)
    index.set_effort(effort)
    return recall(index.search(encoded, depth)[1], exact_top(encoded, vectors, depth))


def tune(
    index: VectorStore, vectors: VectorRows, encoder: Encoder, queries: list[str], target: float,
    report: Reporter, depth: int = DEPTH,
) -> tuple[int | None, float]:  # fmt: skip
    """The least search effort that reaches recall@``depth`` of ``target``, and the recall at it.

    The effort doubles until it is enough, then the gap below is bisected down to an eighth. If even
    the highest effort falls short, it and its recall are returned; effort None for an index that has
    none. A corpus without a word to make a query of counts as fully recalled.
    """
    if not queries:
        return None, 1.0
    encoded = encoder.encode(queries)
    depth = min(depth, index.count)
    exact = exact_top(encoded, vectors, depth)

    def measured(effort: int | None) -> float:
        index.set_effort(effort)
        report.advance(1)
        return recall(index.search(encoded, depth)[1], exact)

    report.stage("tuning", None)
    if not index.tunable:
        return None, measured(None)
    reached = {_FIRST_EFFORT: measured(_FIRST_EFFORT)}
    effort = _FIRST_EFFORT
    while reached[effort] < target and effort < _LAST_EFFORT:
        effort *= 2
        reached[effort] = measured(effort)
    if reached[effort] >= target and effort > _FIRST_EFFORT:
        low = effort // 2
        while effort - low > max(1, effort // 8):
            middle = math.ceil((low + effort) / 2)
            reached[middle] = measured(middle)
            low, effort = (low, middle) if reached[middle] >= target else (middle, effort)
    return effort, reached[effort]
