"""Late interaction over packed bits is what loops over the tokens say it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.models.ranker import maxsim_reference as module
from lurcher.models.ranker.maxsim import (
    LATE_WEIGHT,
    NOTHING,
    best_met,
    blend,
    maxsim,
    similarities,
)
from lurcher.models.tokens.clustering import Integers
from lurcher.models.tokens.coder import Codes
from lurcher.models.tokens.products import Vectors


def asked(seed: int, length: int, bits: int) -> tuple[Vectors, Vectors]:
    """A query's points (length, bits) and weights (length,)."""
    draw = np.random.default_rng(seed)
    points = draw.standard_normal((length, bits)).astype(np.float32)
    weights = draw.random(length).astype(np.float32) + 0.1
    return points / np.linalg.norm(points, axis=1, keepdims=True), weights / weights.sum()


def stored(seed: int, codes: int, bits: int) -> Codes:
    return np.random.default_rng(seed).integers(0, 256, (codes, bits // 8), np.uint8)


def twin(queries: Vectors, weights: Vectors, codes: Codes, counts: list[int]) -> list[float]:
    """Each passage's score: a loop over its codes for each query token."""
    bits, scores, first = queries.shape[1], [], 0
    for count in counts:
        score = 0.0
        for query, weight in zip(queries.tolist(), weights.tolist(), strict=True):
            best = NOTHING
            for number, code in enumerate(codes[first : first + count].tolist()):
                signs = [1 if code[i // 8] >> (7 - i % 8) & 1 else -1 for i in range(bits)]
                met = sum(q * s for q, s in zip(query, signs, strict=True)) / bits**0.5
                best = met if number == 0 else max(best, met)
            score += weight * best
        scores.append(score)
        first += count
    return scores


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 5),
    st.sampled_from([8, 16, 40]),
    st.lists(st.integers(0, 4), max_size=6),
)
def test_scores_are_those_of_the_loops(
    seed: int, length: int, bits: int, counts: list[int]
) -> None:
    queries, weights = asked(seed, length, bits)
    codes = stored(seed, sum(counts), bits)
    found = maxsim(queries, weights, codes, np.array(counts, np.int64))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, twin(queries, weights, codes, counts), atol=2e-6)


def test_a_query_that_points_where_a_code_does_meets_it_wholly() -> None:
    codes = stored(1, 6, 16)
    signs = np.unpackbits(codes, axis=1).astype(np.float32) * 2 - 1
    found = similarities(signs / 4, codes)
    np.testing.assert_allclose(np.diag(found), 1, rtol=1e-6)
    np.testing.assert_allclose(similarities(-signs / 4, codes), -found, atol=1e-6)
    assert np.abs(found).max() <= 1 + 1e-6


def test_a_query_is_met_at_best_in_each_passage() -> None:
    found = np.array([[0.1, 0.9], [0.5, -0.2], [0.3, 0.4]], np.float32)
    met = best_met(found, np.array([2, 1]))
    np.testing.assert_array_equal(met, np.array([[0.5, 0.9], [0.3, 0.4]], np.float32))


@pytest.mark.parametrize(
    "counts", [[0, 2, 1], [2, 0, 1], [2, 1, 0], [0, 0, 3, 0, 0], [3], [1, 1, 1]]
)
def test_passages_without_codes_disturb_no_other(counts: list[int]) -> None:
    queries, weights = asked(3, 4, 24)
    codes = stored(3, 3, 24)
    found = maxsim(queries, weights, codes, np.array(counts, np.int64))
    for place, count in enumerate(counts):
        if not count:
            assert found[place] == pytest.approx(NOTHING)
    some = np.array(counts)[np.array(counts) > 0]
    alone = maxsim(queries, weights, codes, some)
    np.testing.assert_allclose(found[np.array(counts) > 0], alone, atol=1e-6)


def test_no_passage_can_be_worse_than_one_without_codes() -> None:
    queries, weights = asked(4, 5, 8)
    codes = np.repeat(np.packbits(queries[:1] < 0, axis=1), 3, axis=0)
    scores = maxsim(queries, weights, codes, np.array([3, 0]))
    assert scores[0] > scores[1]


def test_nothing_but_passages_without_codes() -> None:
    queries, weights = asked(5, 2, 16)
    none = np.zeros((0, 2), np.uint8)
    np.testing.assert_allclose(maxsim(queries, weights, none, np.array([0, 0])), [NOTHING] * 2)
    assert maxsim(queries, weights, none, np.zeros(0, np.int64)).shape == (0,)


def test_a_query_without_tokens_tells_no_passage_from_another() -> None:
    nobody = np.zeros((0, 16), np.float32), np.zeros(0, np.float32)
    assert maxsim(*nobody, stored(1, 3, 16), np.array([1, 2, 0])).tolist() == [0.0] * 3


def dense(queries: Vectors, codes: Codes) -> npt.NDArray[Any]:
    """All similarities at once, in float64."""
    signs = np.unpackbits(codes, axis=1).astype(np.float64) * 2 - 1
    return signs @ queries.T.astype(np.float64) / np.sqrt(queries.shape[1])


@pytest.mark.parametrize("extra", [-1, 0, 1, 37])
@pytest.mark.parametrize(("length", "bits"), [(32, 256), (7, 160), (1, 8)])
def test_slices_join_without_a_seam(length: int, bits: int, extra: int) -> None:
    """One code fewer than a slice, a whole one, one more; and some."""
    step = module.MULTIPLICATIONS // (length * bits)
    queries, _ = asked(6, length, bits)
    codes = stored(6, 2 * step + extra, bits)
    np.testing.assert_allclose(
        module.similarities(queries, codes), dense(queries, codes), atol=3e-6
    )


def test_a_query_too_long_for_a_slice_goes_code_by_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MULTIPLICATIONS", 10)
    queries, _ = asked(7, 9, 16)
    codes = stored(7, 5, 16)
    np.testing.assert_allclose(
        module.similarities(queries, codes), dense(queries, codes), atol=3e-6
    )


def test_what_a_passage_scores_does_not_depend_on_the_others() -> None:
    queries, weights = asked(8, 32, 256)
    counts: Integers = np.random.default_rng(8).integers(0, 20, 60)
    codes = stored(8, int(counts.sum()), 256)
    together = maxsim(queries, weights, codes, counts)
    ends = np.cumsum(counts)
    for place in range(60):
        own = codes[ends[place] - counts[place] : ends[place]]
        alone = maxsim(queries, weights, own, counts[place : place + 1])
        assert alone[0] == together[place]  # to the last bit, or equal passages would change places


# Final scores.


def test_late_interaction_takes_its_part_of_the_vectors_place() -> None:
    inner = np.array([0.2, 0.6], np.float32)
    late = np.array([0.5, 0.1], np.float32)
    np.testing.assert_allclose(
        blend(inner, late), (1 - LATE_WEIGHT) * inner + LATE_WEIGHT * late, rtol=1e-6
    )
