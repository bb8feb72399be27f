"""The decoder that serves: what it fits to, and how candidates reach its graphs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.errors import ModelError, ModelNotFound
from lurcher.models.encoders.config import EncoderConfig, load_config
from lurcher.models.pretrained import DEFAULT_ENCODER
from lurcher.models.ranker.decoder import (
    DECODER_FILE,
    PAIR_GRAPH,
    QUERY_GRAPH,
    Decoder,
    DecoderConfig,
)
from lurcher.models.tokens.coder import TokenCoder
from lurcher.models.tokens.projection import Projection

BITS, DIMENSION = 16, 384
Arrays = dict[str, np.ndarray[Any, Any]]


@pytest.fixture(scope="module")
def coder() -> TokenCoder:
    matrix = np.random.default_rng(0).standard_normal((DIMENSION, BITS)).astype(np.float32)
    ones = np.ones(10, np.float32)
    return TokenCoder(np.zeros(DIMENSION, np.float32), Projection(matrix, matrix), ones)


@pytest.fixture(scope="module")
def encoder() -> EncoderConfig:
    return load_config(DEFAULT_ENCODER)


@pytest.fixture(scope="module")
def config(coder: TokenCoder, encoder: EncoderConfig) -> DecoderConfig:
    return DecoderConfig(
        name="tiny", encoder=encoder.fingerprint, projection_hash=coder.projection_hash,
        bits=BITS, dimension=DIMENSION, width=8, heads=2, layers=1, crossings=1,
        candidates=50, questions=3, steps=4, seed=0,
    )  # fmt: skip


class Query:
    """Stands for the first graph."""

    def run(self, outputs: Sequence[str], inputs: Mapping[str, Any]) -> list[Any]:
        assert outputs == ["read", "keys"]
        return [inputs["states"], inputs["weights"]]


class Pair:
    """Stands for the second: a score is the prior and the number of ones among a candidate's bits."""

    def __init__(self) -> None:
        self.seen: list[Arrays] = []

    def run(self, outputs: Sequence[str], inputs: Mapping[str, Any]) -> list[Any]:
        assert outputs == ["scores"]
        self.seen.append(dict(inputs))
        codes, counts = inputs["codes"], inputs["counts"]
        there = np.arange(codes.shape[1]) < counts[:, None]
        assert not codes[~there].any()  # padding
        ones = np.unpackbits(codes, axis=2).sum(axis=(1, 2))
        return [(inputs["prior"] + ones).astype(np.float32)]


def asked(length: int) -> tuple[Any, Any, Any]:
    states = np.zeros((length, DIMENSION), np.float32)
    return states, np.ones(length, np.float32), np.zeros((length, BITS), np.float32)


@pytest.mark.parametrize("threads", [1, 3])
@given(
    counts=st.lists(st.integers(0, 700), min_size=1, max_size=12), seed=st.integers(0, 2**32 - 1)
)
def test_each_candidate_is_scored_from_its_own_codes(
    config: DecoderConfig, threads: int, counts: list[int], seed: int
) -> None:
    generator = np.random.default_rng(seed)
    numbers = np.array(counts)
    codes = generator.integers(0, 256, (numbers.sum(), BITS // 8), np.uint8)
    prior = generator.standard_normal(len(counts)).astype(np.float32)
    pair = Pair()
    decoder = Decoder(config, Query(), pair, threads)
    states, weights, points = asked(2)
    found = decoder.scores(states, weights, points, codes, numbers, prior)
    parts = np.split(codes, np.cumsum(numbers)[:-1])
    ones = np.array([np.unpackbits(part).sum() for part in parts])
    np.testing.assert_array_equal(found, (prior + ones).astype(np.float32))
    # What is in memory at once is bounded, but for one passage that is longer.
    assert all(len(s["codes"]) == 1 or s["codes"][..., 0].size <= 1_024 for s in pair.seen)


def test_query_without_tokens_and_no_candidates_leave_all_as_it_is(config: DecoderConfig) -> None:
    pair = Pair()
    decoder = Decoder(config, Query(), pair, 1)
    codes, prior = np.zeros((3, BITS // 8), np.uint8), np.array([0.5, 0.25], np.float32)
    found = decoder.scores(*asked(0), codes, np.array([1, 2]), prior)
    np.testing.assert_array_equal(found, prior)
    none = decoder.scores(*asked(2), codes[:0], np.zeros(0, np.int64), prior[:0])
    assert none.shape == (0,)
    assert not pair.seen


def test_prior_is_not_written_to(config: DecoderConfig) -> None:
    prior = np.zeros(1, np.float32)
    codes = np.full((1, BITS // 8), 255, np.uint8)
    decoder = Decoder(config, Query(), Pair(), 1)
    assert decoder.scores(*asked(1), codes, np.array([1]), prior) == [BITS]
    assert prior == [0]


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"encoder": f"sha256:{'0' * 64}"}, "encoder"),
        ({"dimension": 128}, "dimension: 128, not 384"),
        ({"bits": 24}, "bits: 24, not 16"),
        ({"projection_hash": f"sha256:{'0' * 64}"}, "projection"),
    ],
)
def test_decoder_of_something_else_names_what_differs(
    config: DecoderConfig, coder: TokenCoder, encoder: EncoderConfig,
    changed: dict[str, Any], what: str,
) -> None:  # fmt: skip
    Decoder(config, Query(), Pair(), 1).check(encoder, coder)
    other = Decoder(config.model_copy(update=changed), Query(), Pair(), 1)
    with pytest.raises(ModelError, match=f"tiny does not fit: .*another {what}"):
        other.check(encoder, coder)


def test_folders_that_are_none(tmp_path: Path, config: DecoderConfig) -> None:
    with pytest.raises(ModelNotFound, match="no such folder"):
        Decoder.load(tmp_path / "nowhere", 1)
    with pytest.raises(ModelNotFound, match=f"not a decoder: it has no {DECODER_FILE}"):
        Decoder.load(tmp_path, 1)
    (tmp_path / DECODER_FILE).write_text(config.model_dump_json().replace('"bits":16', '"bits":17'))
    with pytest.raises(ModelError, match="bits: Input should be a multiple of 8"):
        Decoder.load(tmp_path, 1)
    (tmp_path / DECODER_FILE).write_text(config.model_dump_json())
    with pytest.raises(ModelError, match=QUERY_GRAPH):
        Decoder.load(tmp_path, 1)
    for name in (QUERY_GRAPH, PAIR_GRAPH):
        (tmp_path / name).write_bytes(b"not ONNX")
    with pytest.raises(ModelError, match=f"{QUERY_GRAPH}: no ONNX graph that can be read"):
        Decoder.load(tmp_path, 1)


def test_graphs_that_are_others_than_described_are_found_by_a_trial(tmp_path: Path) -> None:
    shipped = DEFAULT_ENCODER / "ranker"
    for name in ("swapped", "wider", "coarser"):
        shutil.copytree(shipped, tmp_path / name)
    swapped = tmp_path / "swapped"
    (swapped / QUERY_GRAPH).rename(swapped / "kept")
    (swapped / PAIR_GRAPH).rename(swapped / QUERY_GRAPH)
    (swapped / "kept").rename(swapped / PAIR_GRAPH)
    for name, field in (("wider", '"dimension": 384'), ("coarser", '"bits": 160')):
        file = tmp_path / name / DECODER_FILE
        text = file.read_text()
        assert field in text
        file.write_text(text.replace(field, field.split(":")[0] + ": 64"))
    for name in ("swapped", "wider", "coarser"):
        with pytest.raises(ModelError, match=f"{name}: its graphs are not those"):
            Decoder.load(tmp_path / name, 1)
    assert Decoder.load(shipped, 1).config.bits == 160
