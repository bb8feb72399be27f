"""The network as an ONNX graph in INT8, held against torch, and what runs it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import torch

from lurcher.benchmarks.baselines.pairs import Pair, pad
from lurcher.benchmarks.baselines.undecomposed.network import (
    Logits,
    PairTokenizer,
    Undecomposed,
    read_torch,
    start,
)
from lurcher.errors import ParityError
from lurcher.models.encoders.tokenizer import length_buckets
from lurcher.models.engines.ort import OnnxRuntimeEngine
from lurcher.training.compression.int8 import quantize_int8
from lurcher.training.graph import OPSET, quiet_tracing

GRAPH = "undecomposed.onnx"

# Padded tokens a batch: as in models.encoders.encoder.
_BUDGET = 512
# |a - b| / |b| over the logits of all pairs. float32 differs only by the order of sums.
_FP32, _INT8 = 1e-4, 0.25


def export(network: Undecomposed, file: Path, pairs: Sequence[Pair]) -> float:
    """How far INT8 logits of ``pairs`` are from torch's, relative to their size; writes ``file``, a graph.

    Its inputs are those of ``network.pad``, its output ``logits`` (B, L, 2) float32. INT8 is the shipped
    encoder's form of it: one scale for each token and each column of weights. Raises ParityError, and
    writes nothing, where the graph does not say what torch does.
    """
    inputs = pad([Pair([1] * 8, 4), Pair([1] * 5, 2)])
    axes = {name: {0: "batch", 1: "tokens"} for name in (*inputs, "logits")}
    exact = read_torch(network.eval(), pairs)
    with tempfile.TemporaryDirectory(prefix=".export.", dir=file.parent) as work:
        traced, small = Path(work) / "traced.onnx", Path(work) / file.name
        with quiet_tracing():
            torch.onnx.export(
                network,
                tuple(torch.from_numpy(array) for array in inputs.values()),
                str(traced),
                input_names=list(inputs),
                output_names=["logits"],
                dynamic_axes=axes,
                opset_version=OPSET,
                dynamo=False,
            )
        _check(traced, pairs, exact, _FP32)
        onnx.save(quantize_int8(onnx.load(traced)), small)
        error = _check(small, pairs, exact, _INT8)
        small.replace(file)
    return error


def _check(graph: Path, pairs: Sequence[Pair], exact: Sequence[Logits], limit: float) -> float:
    """How far the logits of ``graph`` are from ``exact``, relative to their size. Raises ParityError."""
    engine = OnnxRuntimeEngine(graph, 1)
    found = np.concatenate(_read(engine, pairs, list(range(len(pairs)))))
    right = np.concatenate(list(exact))
    error = float(np.linalg.norm(found - right) / np.linalg.norm(right))
    if not error <= limit:  # so that NaN fails
        raise ParityError(f"{graph.name}: logits are {error:.2g} off torch's, more than {limit:g}")
    return error


def _read(engine: OnnxRuntimeEngine, pairs: Sequence[Pair], batch: Sequence[int]) -> list[Logits]:
    (found,) = engine.run(["logits"], pad([pairs[i] for i in batch]))
    return [found[row, pairs[i].own] for row, i in enumerate(batch)]


class Yardstick:
    """An exported graph; each batch is one thread's, as in the shipped encoder."""

    def __init__(self, graph: Path, tokenizer: PairTokenizer, threads: int = 1) -> None:
        """Load ``graph``. Raises ModelError."""
        self.tokenizer = tokenizer
        self._engine = OnnxRuntimeEngine(graph, 1)
        self._pool = ThreadPoolExecutor(threads, "yardstick")

    def pairs(self, question: str, passages: Sequence[str]) -> list[Pair]:
        """The question with each passage's content."""
        first, *rest = self.tokenizer.texts([question, *passages])
        return [self.tokenizer.pair(first, text) for text in rest]

    def __call__(self, pairs: Sequence[Pair], budget: int = _BUDGET) -> list[Logits]:
        """The logits (M, 2) float32 of the passage's M tokens of each pair.

        Pairs of like length share a batch of at most ``budget`` padded tokens.
        """
        logits: list[Logits] = [np.zeros((0, 2), np.float32)] * len(pairs)

        def read(batch: list[int]) -> None:
            for i, found in zip(batch, _read(self._engine, pairs, batch), strict=True):
                logits[i] = found

        list(self._pool.map(read, length_buckets([len(pair.ids) for pair in pairs], budget)))
        return logits

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()


def open_yardstick(folder: Path, threads: int = 1, original: Path | None = None) -> Yardstick:
    """The yardstick that was exported into ``folder``; ``original`` as in ``start``. Raises ModelError."""
    _, tokenizer = start(original)
    return Yardstick(folder / GRAPH, tokenizer, threads)
