"""A coder is made of a sample that is read once, and states are gone when they are coded."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lurcher.bundle.bundle import PASSAGES
from lurcher.bundle.passages import Passages
from lurcher.bundle.token_store import CODER
from lurcher.index_builder.passage_tokens import PassageTokens
from lurcher.index_builder.stages import fit_token_coder
from lurcher.index_builder.stages.encode_passages import Coding
from lurcher.index_builder.stages.fit_token_coder import calibrate
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.tokens.coder import Coded, TokenCoder
from lurcher.models.tokens.products import Vectors
from tests.tiny import TINY


def test_how_many_are_read_at_once_changes_no_coder(
    small_bundle: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Passages(small_bundle / PASSAGES)) as passages:
        wanted = calibrate(PassageTokens(passages, encoder), 32, None, 1)
        for name in ("_READ_AT_ONCE", "_ENCODED_AT_ONCE"):
            monkeypatch.setattr(fit_token_coder, name, 7)
        found = calibrate(PassageTokens(passages, encoder), 32, None, 1)
    np.testing.assert_array_equal(found.frequency, wanted.frequency)
    np.testing.assert_allclose(found.mean, wanted.mean, atol=1e-3)


def test_a_coder_is_made_of_a_sample_that_the_seed_draws(
    small_bundle: Path, encoder: Encoder
) -> None:
    with closing(Passages(small_bundle / PASSAGES)) as passages:
        one, two, other = (
            calibrate(PassageTokens(passages, encoder), 32, None, seed, sample=10, counted=20)
            for seed in (1, 1, 2)
        )
    np.testing.assert_array_equal(one.projection.passages, two.projection.passages)
    assert one.frequency.min() == pytest.approx(1 / 21)
    assert not np.array_equal(one.frequency, other.frequency)
    assert len(one.frequency) == encoder.vocabulary


def test_passages_are_read_and_tokenised_once_while_there_is_room(
    small_bundle: Path, encoder: Encoder
) -> None:
    class Counting(Passages):
        read = 0

        def contents(self, rows: Sequence[int]) -> list[str]:
            self.read += len(rows)
            return super().contents(rows)

    with closing(Counting(small_bundle / PASSAGES)) as passages:
        tokens = PassageTokens(passages, encoder, remembered=10)
        first, empty = tokens.read(range(8))
        assert not empty.any()
        assert tokens.read([7, 3]) == ([first[7], first[3]], pytest.approx([False, False]))
        assert passages.read == 8
        assert tokens.read(range(4, 14))[0][:4] == first[4:]
        assert passages.read == 8 + 6
        tokens.read([8, 9, 13])  # the last came when there was no room
        assert passages.read == 8 + 6 + 1
        assert first == encoder.tokenise(passages.contents(range(8)))


def test_states_are_gone_when_a_passage_is_coded(
    small_records: list[dict[str, Any]], small_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a batch are in memory at once, not those of a chunk."""
    monkeypatch.setattr("lurcher.models.encoders.encoder.TOKEN_BUDGET", 64)
    batches: dict[int, weakref.ref[Any]] = {}
    alive: list[int] = []
    code = TokenCoder.code

    def watched(self: TokenCoder, states: Vectors, ids: Sequence[int], keep_ratio: float) -> Coded:
        batch: Any = states
        while isinstance(batch.base, np.ndarray):
            batch = batch.base
        if not any(reference() is batch for reference in batches.values()):
            batches[len(batches)] = weakref.ref(batch)
        alive.append(sum(reference() is not None for reference in batches.values()))
        return code(self, states, ids, keep_ratio)

    monkeypatch.setattr(TokenCoder, "code", watched)
    encoder = Encoder.load(TINY, "passage", 1)
    coding = Coding(TokenCoder.load(small_bundle / CODER), 0.5)
    counted: list[int] = []
    tokens = encoder.tokenise([r["text"] for r in small_records])
    vectors, coded = coding.encode(encoder, tokens, counted.append)
    assert len(vectors) == len(coded) == sum(counted) == 60
    assert len(batches) == len(counted) > 5
    assert max(alive) <= 2
