"""The first stage's candidates, put in order by a cross-encoder, and what that is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from lurcher.benchmarks.baselines.cross_encoder.model import Scores
from lurcher.benchmarks.baselines.cross_encoder.pairs import PairTokenizer
from lurcher.benchmarks.baselines.pairs import Pair
from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Rows
from lurcher.errors import ParityError
from lurcher.evaluation.judgements import Qrels
from lurcher.evaluation.measures import PerQuery, per_query

# The first stage's best, which negatives are drawn from and which are ranked.
FOUND = 50
# Measured on the trained one: .985 to .994. Random weights tell passages less apart: from .955.
_LEAST_CORRELATION = 0.9


def first_stage(bundle: Bundle, texts: Sequence[str], k: int) -> list[tuple[Scores, Rows]]:
    """Scores and rows, each (k,), that a plain search of ``bundle`` finds for each text."""
    vectors = bundle.query_encoder(torch.get_num_threads()).encode(texts)
    return list(zip(*bundle.vectors.search(vectors, k), strict=True))


@dataclass(frozen=True)
class Reranking:
    """What the first stage and a cross-encoder say of the same candidates, query by query."""

    queries: list[str]  # ids
    candidates: list[list[str]]  # passage ids, as the first stage has them: best first
    first_stage: list[list[float]]
    cross_encoder: list[list[float]]

    def measure(self, qrels: Qrels, weight: float) -> PerQuery:
        """Each measure's value for each query; ``weight`` is the cross-encoder's, from 0 to 1.

        Both kinds of scores are brought to mean 0 and deviation 1 over a query's candidates first.
        """
        rankings = []
        both = zip(self.candidates, self.first_stage, self.cross_encoder, strict=True)
        for candidates, first, cross in both:
            scores = weight * _standard(cross) + (1 - weight) * _standard(first)
            order = np.argsort(-scores, kind="stable")
            rankings.append([(candidates[i], float(scores[i])) for i in order])
        return per_query(self.queries, rankings, qrels)

    def best_weight(self, qrels: Qrels) -> float:
        """The weight with the highest MRR@10. For development queries."""
        weights = [w / 10 for w in range(11)]
        return max(weights, key=lambda weight: self.measure(qrels, weight)["MRR@10"].mean())


def _standard(scores: Sequence[float]) -> npt.NDArray[np.float64]:
    found = np.array(scores, np.float64)
    standard: npt.NDArray[np.float64] = (found - found.mean()) / max(float(found.std()), 1e-12)
    return standard


def rerank(
    bundle: Bundle,
    tokenizer: PairTokenizer,
    score: Callable[[Sequence[Pair]], Scores],
    queries: Mapping[str, str],
    depth: int,
) -> Reranking:
    """The ``depth`` passages that ``bundle`` finds for each of ``queries``, scored by ``score`` too."""
    found = first_stage(bundle, list(queries.values()), depth)
    candidates, cross = [], []
    for text, (_, rows) in zip(queries.values(), found, strict=True):
        passages = bundle.passages.get(list(rows))
        candidates.append([passage.id for passage in passages])
        cross.append(score(_pairs(tokenizer, text, [p.content for p in passages])).tolist())
    return Reranking(list(queries), candidates, [s.tolist() for s, _ in found], cross)


def candidate_pairs(
    bundle: Bundle, tokenizer: PairTokenizer, texts: Sequence[str], depth: int
) -> list[list[Pair]]:
    """Each text with each of the ``depth`` passages that ``bundle`` finds for it."""
    found = [bundle.passages.get(list(rows)) for _, rows in first_stage(bundle, texts, depth)]
    return [
        _pairs(tokenizer, text, [passage.content for passage in passages])
        for text, passages in zip(texts, found, strict=True)
    ]


def _pairs(tokenizer: PairTokenizer, question: str, passages: Sequence[str]) -> list[Pair]:
    first, *rest = tokenizer.tokens([question, *passages])
    return [tokenizer.pair(first, tokens) for tokens in rest]


def check_ranks(int8: Reranking, exact: Reranking) -> float:
    """The mean rank correlation (Spearman) of two rerankings of the same candidates.

    Raises ParityError where it is too low for the one to stand for the other.
    """

    def ranks(scores: Sequence[float]) -> npt.NDArray[np.int64]:
        return np.argsort(np.argsort(scores, kind="stable"))

    both = zip(int8.cross_encoder, exact.cross_encoder, strict=True)
    mean = float(np.mean([np.corrcoef(ranks(a), ranks(b))[0, 1] for a, b in both]))
    if not mean >= _LEAST_CORRELATION:
        raise ParityError(f"INT8 ranks passages otherwise than float32: correlation {mean:.3f}")
    return mean
