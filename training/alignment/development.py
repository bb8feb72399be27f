"""How well a student retrieves from the teacher's passages: what checkpoints are chosen by.

An error in vectors says little about rankings (students of cosine .90 have been seen to retrieve
worse than others of .78), so each measurement is a search.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lurcher.bundle.vectors import VectorRows, exact_top
from lurcher.evaluation.judgements import Qrels
from lurcher.evaluation.measures import DEPTH, per_query

Vectors = npt.NDArray[np.float32]
Encode = Callable[[Sequence[str]], Vectors]


@dataclass(frozen=True)
class Development:
    """Judged queries over encoded passages."""

    name: str
    passages: VectorRows  # (m, d)
    ids: Sequence[str]  # of the passages
    queries: dict[str, str]
    qrels: Qrels
    measure: str = "nDCG@10"

    def quality(self, encode: Encode) -> float:
        """The mean of the measure with queries encoded by ``encode``, passages as they are."""
        ids = [query for query in self.qrels if query in self.queries]
        vectors = encode([self.queries[query] for query in ids])
        top = exact_top(vectors, self.passages, min(DEPTH, len(self.ids)))
        rankings = [[(self.ids[row], 0.0) for row in rows] for rows in top]
        return float(per_query(ids, rankings, self.qrels)[self.measure].mean())


def agreement(
    name: str, passages: VectorRows, queries: Sequence[str], encode: Encode, k: int = 10
) -> Development:
    """A development set without judges: what ``encode``, the teacher, finds first is relevant."""
    texts = {str(i): text for i, text in enumerate(queries)}
    ids = [str(row) for row in range(len(passages))]
    top = exact_top(encode(list(queries)), passages, min(k, len(ids)))
    qrels = {str(i): {str(row): 1 for row in rows} for i, rows in enumerate(top)}
    return Development(name, passages, ids, texts, qrels)
