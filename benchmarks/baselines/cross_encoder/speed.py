"""How long single queries' pairs take, in torch and in INT8."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from lurcher.benchmarks.baselines.cross_encoder.graph import Scorer
from lurcher.benchmarks.baselines.cross_encoder.model import CrossEncoder, Scores, score_torch
from lurcher.benchmarks.baselines.pairs import Pair

# Padded tokens a batch, to choose from.
_BUDGETS = (256, 1_024, 4_096)


def time_pairs(
    network: CrossEncoder, graph: Path, queries: Sequence[Sequence[Pair]], threads: int = 2
) -> dict[str, float]:
    """The median milliseconds of scoring one query's pairs: ``torch`` in float32, ``int8`` of ``graph``.

    Each form takes batches of the size that was fastest on the first query, which is not counted where
    there are others. The forms take turns, so that a machine that slows down slows both. Tokenising is
    left out: passages' tokens could be kept.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    scorer = Scorer(graph, threads)
    forms: dict[str, Callable[[Sequence[Pair], int], Scores]] = {
        "torch": lambda pairs, budget: score_torch(network, pairs, budget),
        "int8": scorer,
    }
    try:
        for form in forms.values():
            form(queries[0], _BUDGETS[0])  # what is made on first use
        budgets = {
            name: min(_BUDGETS, key=lambda budget: _milliseconds(form, queries[0], budget))
            for name, form in forms.items()
        }
        taken: dict[str, list[float]] = {name: [] for name in forms}
        for pairs in queries[1:] or queries:
            for name, form in forms.items():
                taken[name].append(_milliseconds(form, pairs, budgets[name]))
    finally:
        scorer.close()
        torch.set_num_threads(before)
    return {name: float(np.median(times)) for name, times in taken.items()}


def _milliseconds(
    form: Callable[[Sequence[Pair], int], Scores], pairs: Sequence[Pair], budget: int
) -> float:
    started = time.perf_counter()
    form(pairs, budget)
    return (time.perf_counter() - started) * 1e3
