"""Where passages answer a query, by a trained reader over decoded 1-bit codes.

Its formulas are in ``training/reader/network.py`` (PyTorch) and in ``reader_reference.py`` (NumPy).

A folder holds::

    reader.onnx     states (L, d), weights (L,), decoded (C, M, d), places (C, M) int64, counts (C,) int64
                    -> logits (C, M, 2) of starts and ends
    reader.json     ReaderConfig

Arrays are float32 unless stated otherwise. The graph runs in batches of passages that fit in the cache,
padded to the longest of the batch.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from lurcher.errors import ModelError
from lurcher.models.batches import Pause, run_batches
from lurcher.models.encoders.config import EncoderConfig
from lurcher.models.encoders.reading import read_description
from lurcher.models.encoders.student import SHA256
from lurcher.models.encoders.tokenizer import length_buckets
from lurcher.models.engines import Engine, first_run, open_engine
from lurcher.models.reader.evidence import Weighed
from lurcher.models.tokens.clustering import Integers, Vectors

READER_GRAPH = "reader.onnx"
READER_FILE = "reader.json"

# The fields of a description that a bundle may have made anew (`lurcher calibrate`).
CALIBRATION = (
    "slope", "offset", "weights", "min_score", "calibrated_on", "calibrated_by", "calibration_corpus",
)  # fmt: skip

# Padded tokens of passages per run of the graph.
_TOKENS_AT_ONCE = 512


class ReaderConfig(BaseModel):
    """What a reader fits to, how large it is, and how its answers become probabilities."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1)
    encoder: str = Field(pattern=SHA256, description="fingerprint of what makes token states")
    dimension: int = Field(gt=0, description="of a token state")
    bits: int = Field(gt=0, multiple_of=8, description="a code that it was trained on")
    width: int = Field(gt=0)
    heads: int = Field(gt=0)
    layers: int = Field(gt=0)
    inner: int = Field(gt=0, description="width of the feed-forward layers")
    longest: int = Field(gt=0, description="codes an answer may span")
    rank_weight: float = Field(description="of a hit's score beside the logits of its spans")
    slope: float = Field(gt=0, description="of the log-odds of an answer, to be probabilities")
    offset: float = Field(description="likewise")
    weights: dict[Weighed, float] = Field(
        default_factory=dict,
        description="of what else is known of an answer: models.reader.evidence",
    )
    min_score: float = Field(ge=0, le=1, description="below which nothing answers, by default")
    calibrated_on: str | None = Field(
        default=None, description="what slope, offset and min_score were measured on, in words"
    )
    calibrated_by: Literal["training", "questions", "cloze"] = Field(
        default="training",
        description="whose questions these were: those held out when it was trained, a user's, or ones "
        "made of the bundle's own sentences",
    )
    calibration_corpus: str | None = Field(
        default=None, pattern=SHA256, description="Manifest.corpus_hash of the passages read for it"
    )
    questions: int = Field(ge=0, description="it was trained on")
    steps: int = Field(ge=0, description="of training, up to the weights that were kept")
    seed: int
    figures: dict[str, float] = Field(
        default_factory=dict, description="of development questions, by measure"
    )


def load_reader_config(folder: Path) -> ReaderConfig:
    """What the reader in ``folder`` says of itself. Raises ModelNotFound, ModelError."""
    return read_description(folder, READER_FILE, ReaderConfig, "a reader")


def check_reader(config: ReaderConfig, encoder: EncoderConfig) -> None:
    """Raises ModelError, naming what differs, unless the reader reads states of ``encoder``."""
    for what, ours, theirs in (
        ("encoder", config.encoder, encoder.fingerprint),
        ("dimension", config.dimension, encoder.dimension),
    ):
        if ours != theirs:
            reason = f"it was trained for another {what}: {ours}, not {theirs}"
            raise ModelError(f"reader {config.name} does not fit: {reason}")
    if not encoder.lower_states:
        reason = f"{encoder.name} was exported without the lower states that it reads"
        raise ModelError(f"reader {config.name} does not fit: {reason}")


class Reader:
    """The graph; safe to call from several threads at once."""

    def __init__(self, config: ReaderConfig, engine: Engine, threads: int) -> None:
        self.config = config
        self._engine, self._threads = engine, threads
        self._pool = ThreadPoolExecutor(threads, "reader") if threads > 1 else None

    @classmethod
    def load(cls, folder: Path, threads: int, config: ReaderConfig | None = None) -> Reader:
        """The reader in ``folder``, which runs up to ``threads`` batches at a time.

        ``config`` None is what the folder says of it. Its graph has run once by then. Raises ModelError or
        ModelNotFound.
        """
        config = config or load_reader_config(folder)
        graph = open_engine("onnxruntime", folder / READER_GRAPH, 1)
        reader, d = cls(config, graph, threads), config.dimension
        with first_run(folder):
            found = reader.logits(
                np.ones((2, d), np.float32), np.full(2, 0.5, np.float32),
                np.ones((3, d), np.float32), np.arange(3), np.array([2, 0, 1]),
            )  # fmt: skip
        if not np.isfinite(found).all():
            raise ModelError(f"{folder / READER_GRAPH}: a test run gave logits that are not finite")
        return reader

    def logits(
        self,
        states: Vectors,
        weights: Vectors,
        decoded: Vectors,
        places: Integers,
        counts: Integers,
        pause: Pause | None = None,
    ) -> Vectors:
        """Logits (n, 2) of where an answer starts and ends, for each token of the passages.

        ``states`` (L, d) and ``weights`` (L,) are the query's; ``decoded`` (n, d) and ``places`` (n,) the
        passages', which follow each other, ``counts`` (C,) tokens of each. All logits are 0 for a query
        without tokens.
        """
        logits = np.zeros((len(decoded), 2), np.float32)
        if not len(states) or not len(decoded):
            return logits
        ends = np.cumsum(counts)

        def read(batch: list[int]) -> None:
            width = int(counts[batch].max())
            whole = np.zeros((len(batch), width, decoded.shape[1]), np.float32)
            stands = np.zeros((len(batch), width), np.int64)
            for row, passage in enumerate(batch):
                own = slice(ends[passage] - counts[passage], ends[passage])
                whole[row, : counts[passage]], stands[row, : counts[passage]] = (
                    decoded[own],
                    places[own],
                )
            inputs: dict[str, npt.NDArray[Any]] = {
                "states": states, "weights": weights, "decoded": whole, "places": stands,
                "counts": counts[batch],
            }  # fmt: skip
            (found,) = self._engine.run(["logits"], inputs)
            for row, passage in enumerate(batch):
                logits[ends[passage] - counts[passage] : ends[passage]] = found[
                    row, : counts[passage]
                ]

        # Few passages are shared out among the threads, too.
        budget = min(_TOKENS_AT_ONCE, math.ceil(len(decoded) / self._threads))
        batches = [b for b in length_buckets(counts.tolist(), budget) if counts[b[0]]]
        run_batches(read, batches, self._pool, self._threads, pause)
        return logits
