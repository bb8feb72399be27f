"""Candidates' scores by a trained decoder, from packed 1-bit codes.

Its formulas are in ``training/ranker/network.py`` (PyTorch) and in ``decoder_reference.py`` (NumPy).

A folder holds::

    query.onnx      states (L, d), weights (L,) -> read (L, width), keys (L, heads bits)
    pair.onnx       codes (C, M, bits/8) uint8, counts (C,) int64, prior (C,),
                    read, keys, points (L, bits), weights (L,) -> scores (C,)
    decoder.json    DecoderConfig

Arrays are float32 unless stated otherwise; ``points`` are the projected query tokens. The first graph runs
once a request; the second runs in batches that fit in the cache, codes padded to the longest of the batch.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

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
from lurcher.models.tokens.clustering import Integers, Vectors
from lurcher.models.tokens.coder import Codes, TokenCoder

QUERY_GRAPH = "query.onnx"
PAIR_GRAPH = "pair.onnx"
DECODER_FILE = "decoder.json"

# Padded codes per run of the second graph.
_CODES_AT_ONCE = 1_024


class DecoderConfig(BaseModel):
    """What a decoder fits to, how large it is, and what it was trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    encoder: str = Field(pattern=SHA256, description="fingerprint of what makes token states")
    projection_hash: str = Field(pattern=SHA256, description="of the codes it reads")
    bits: int = Field(gt=0, multiple_of=8, description="a code")
    dimension: int = Field(gt=0, description="of a token state")
    width: int = Field(gt=0)
    heads: int = Field(gt=0)
    layers: int = Field(ge=0, description="that read the query alone")
    crossings: int = Field(gt=0, description="layers that read codes")
    candidates: int = Field(
        gt=0, description="best by late interaction, that it learnt to tell apart"
    )
    questions: int = Field(ge=0, description="it was trained on")
    steps: int = Field(ge=0, description="of training, up to the weights that were kept")
    seed: int
    figures: dict[str, tuple[float, float]] = Field(
        default_factory=dict, description="of development questions, by measure: before, after"
    )


def load_decoder_config(folder: Path) -> DecoderConfig:
    """What the decoder in ``folder`` says of itself. Raises ModelNotFound, ModelError."""
    return read_description(folder, DECODER_FILE, DecoderConfig, "a decoder")


def check_decoder(
    config: DecoderConfig, encoder: EncoderConfig, bits: int, projection_hash: str | None
) -> None:
    """Raise ModelError, naming what differs, unless the decoder reads such codes of that encoder.

    ``projection_hash`` None is not known yet: that of principal components depends on the corpus.
    """
    for what, ours, theirs in (
        ("encoder", config.encoder, encoder.fingerprint),
        ("dimension", config.dimension, encoder.dimension),
        ("bits", config.bits, bits),
        ("projection", config.projection_hash, projection_hash),
    ):
        if theirs is not None and ours != theirs:
            reason = f"it was trained for another {what}: {ours}, not {theirs}"
            raise ModelError(f"decoder {config.name} does not fit: {reason}")


class Decoder:
    """Both graphs; safe to call from several threads at once."""

    def __init__(self, config: DecoderConfig, query: Engine, pair: Engine, threads: int) -> None:
        self.config = config
        self._query, self._pair, self._threads = query, pair, threads
        self._pool = ThreadPoolExecutor(threads, "decoder") if threads > 1 else None

    @classmethod
    def load(cls, folder: Path, threads: int) -> Decoder:
        """The decoder in ``folder``, which runs up to ``threads`` batches at a time.

        Both graphs have run once by then. Raises ModelError or ModelNotFound.
        """
        config = load_decoder_config(folder)
        query, pair = (
            open_engine("onnxruntime", folder / name, 1) for name in (QUERY_GRAPH, PAIR_GRAPH)
        )
        decoder = cls(config, query, pair, threads)
        with first_run(folder):
            decoder._warm_up()
        return decoder

    def check(self, encoder: EncoderConfig, coder: TokenCoder) -> None:
        """Raises ModelError, naming what differs, unless it reads what ``encoder`` and ``coder`` make."""
        check_decoder(self.config, encoder, coder.bits, coder.projection_hash)

    def _warm_up(self) -> None:
        """Score candidates of three codes, of none and of one. Raises whatever the graphs raise."""
        length, counts = 2, np.array([3, 0, 1])
        states = np.ones((length, self.config.dimension), np.float32)
        projected = np.ones((length, self.config.bits), np.float32) / math.sqrt(self.config.bits)
        weights = np.full(length, 1 / length, np.float32)
        codes = np.zeros((counts.sum(), self.config.bits // 8), np.uint8)
        found = self.scores(states, weights, projected, codes, counts, np.zeros(3, np.float32))
        if not np.isfinite(found).all():
            raise ValueError("the scores of a test run are not finite")

    def scores(
        self, states: Vectors, weights: Vectors, projected: Vectors, codes: Codes, counts: Integers,
        prior: Vectors, pause: Pause | None = None,
    ) -> Vectors:  # fmt: skip
        """The score (C,) of each candidate, on the scale of ``prior`` (C,), its MaxSim score.

        ``states`` (L, d) are those of the query's own tokens; ``projected`` (L, bits) and ``weights`` (L,)
        are what the coder makes of them. The candidates' ``codes`` (n, bits/8) follow each other, ``counts``
        (C,) of each. A query without tokens leaves the scores unchanged.
        """
        found = prior.astype(np.float32)
        if not len(states) or not len(counts):
            return found
        read, keys = self._query.run(["read", "keys"], {"states": states, "weights": weights})
        query = {"read": read, "keys": keys, "points": projected, "weights": weights}
        ends = np.cumsum(counts)

        def score(batch: list[int]) -> None:
            inputs: dict[str, npt.NDArray[Any]] = dict(query)
            inputs["codes"] = padded(codes, ends, counts, batch)
            inputs["counts"], inputs["prior"] = counts[batch], found[batch]
            (found[batch],) = self._pair.run(["scores"], inputs)

        batches = length_buckets(counts.tolist(), _CODES_AT_ONCE)
        run_batches(score, batches, self._pool, self._threads, pause)
        return found


def padded(codes: Codes, ends: Integers, counts: Integers, batch: list[int]) -> Codes:
    """The codes (B, M >= 1, bits/8) of the candidates in ``batch``, whose codes end at ``ends`` (C,)."""
    width = max(1, int(counts[batch].max()))
    found = np.zeros((len(batch), width, codes.shape[1]), np.uint8)
    for place, row in enumerate(batch):
        found[place, : counts[row]] = codes[ends[row] - counts[row] : ends[row]]
    return found
