"""Retrieval quality against judgements, with how sure the figures are.

Measures come from ir_measures (nDCG with trec_eval's linear gain, as BEIR publishes it). Intervals
are 95 % percentile bootstraps over the queries; a comparison resamples the paired differences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ir_measures
import numpy as np
import numpy.typing as npt
from ir_measures import RR, R, nDCG

from lurcher.evaluation.judgements import Qrels

DEPTH = 100
MEASURES = {"nDCG@10": nDCG @ 10, "MRR@10": RR @ 10, "Recall@10": R @ 10, "Recall@100": R @ 100}

_RESAMPLES = 10_000

PerQuery = dict[str, npt.NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over queries with the bounds of its 95 % interval."""

    mean: float
    low: float
    high: float


def per_query(
    queries: Sequence[str], rankings: Sequence[list[tuple[str, float]]], qrels: Qrels
) -> PerQuery:
    """Each measure's value for each query, in the order of ``queries``."""
    # Scores are replaced by ranks: trec_eval breaks ties by id, which would not be the order shown.
    run = {
        query: {passage: -float(rank) for rank, (passage, _) in enumerate(ranking)}
        for query, ranking in zip(queries, rankings, strict=True)
    }
    position = {query: i for i, query in enumerate(queries)}
    values: PerQuery = {name: np.zeros(len(queries)) for name in MEASURES}
    names = {measure: name for name, measure in MEASURES.items()}
    judged = {query: qrels[query] for query in queries}
    for metric in ir_measures.iter_calc(list(MEASURES.values()), judged, run):
        values[names[metric.measure]][position[metric.query_id]] = metric.value
    return values


def interval(values: npt.NDArray[np.float64], seed: int = 0) -> Figure:
    """The mean of ``values`` (n,) with its 95 % percentile bootstrap interval."""
    generator = np.random.default_rng(seed)
    means = [
        values[generator.integers(0, len(values), (500, len(values)))].mean(1)
        for _ in range(_RESAMPLES // 500)
    ]
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return Figure(float(values.mean()), float(low), float(high))
