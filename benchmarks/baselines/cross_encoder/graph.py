"""The trained network as an ONNX graph, and its scores by ONNX Runtime."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from lurcher.benchmarks.baselines.cross_encoder.model import SCORED_TOKENS, CrossEncoder, Scores
from lurcher.benchmarks.baselines.pairs import Pair, pad
from lurcher.models.encoders.tokenizer import length_buckets
from lurcher.models.engines.ort import OnnxRuntimeEngine
from lurcher.training.compression.int8 import quantize_int8

GRAPH = "cross_encoder.onnx"


class Scorer:
    """An exported graph; each batch is one thread's, as in the shipped encoder."""

    def __init__(self, graph: Path, threads: int = 1) -> None:
        """Load ``graph``. Raises ModelError."""
        self._engine = OnnxRuntimeEngine(graph, 1)
        self._pool = ThreadPoolExecutor(threads, "cross-encoder")

    def __call__(self, pairs: Sequence[Pair], budget: int = SCORED_TOKENS) -> Scores:
        """The logit (n,) float32 of each pair."""
        batches = list(length_buckets([len(pair.ids) for pair in pairs], budget))
        scores = np.empty(len(pairs), np.float32)

        def score(batch: list[int]) -> None:
            (scores[batch],) = self._engine.run(["logit"], pad([pairs[i] for i in batch]))

        list(self._pool.map(score, batches))
        return scores

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()


def export(network: CrossEncoder, file: Path, *, int8: bool = True) -> None:
    """Write ``network`` to ``file`` as an ONNX graph with inputs (B, L) int64 and output ``logit`` (B,).

    INT8 is the shipped encoder's form of it: one scale for each token and each column of weights.
    """
    inputs = pad([Pair([1] * 8, 4), Pair([1] * 5, 2)])
    axes = {name: {0: "batch", 1: "tokens"} for name in inputs}
    with tempfile.TemporaryDirectory(prefix=".export.", dir=file.parent) as work:
        traced = Path(work) / file.name
        with _tracing():
            torch.onnx.export(
                network.eval(),
                tuple(torch.from_numpy(array) for array in inputs.values()),
                str(traced),
                input_names=list(inputs),
                output_names=["logit"],
                dynamic_axes={**axes, "logit": {0: "batch"}},
                opset_version=18,
                dynamo=False,
            )
        if int8:
            onnx.save(quantize_int8(onnx.load(traced)), traced)
        traced.replace(file)


@contextmanager
def _tracing() -> Iterator[None]:
    """Hides what tracing warns of by design, as training.graph does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        jit: Any = torch.jit  # its types leave the warning out
        warnings.simplefilter("ignore", jit.TracerWarning)
        yield
