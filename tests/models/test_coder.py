"""States become codes as the coder says: taken off the mean, projected, sifted, clustered, rounded."""

from __future__ import annotations

import weakref
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.errors import FieldError, ModelError
from lurcher.models.ranker.maxsim import maxsim
from lurcher.models.tokens.clustering import ward
from lurcher.models.tokens.coder import MAX_DF, Coded, TokenCoder, document_frequency, fit
from lurcher.models.tokens.products import Vectors
from lurcher.models.tokens.projection import Projection

D, VOCABULARY = 24, 10
# Tokens 0 and 1 stand in most passages, the others in few.
FREQUENCY = np.array([0.9, 0.6] + [0.3] * (VOCABULARY - 2), np.float32)


def states_of(seed: int, length: int, dimension: int = D) -> Vectors:
    """Token states (length, dimension) that have something in common, as an encoder's have."""
    draw = np.random.default_rng(seed)
    shared = np.linspace(-1, 1, dimension)
    return (draw.standard_normal((length, dimension)) + shared).astype(np.float32)


def coder_of(bits: int = 16, frequency: Vectors = FREQUENCY) -> TokenCoder:
    return fit((states_of(i, 20) for i in range(8)), D, frequency, bits, seed=5)


CODER = coder_of()


def twin(coder: TokenCoder, states: Vectors, ids: list[int], share: float) -> list[tuple[Any, int]]:
    """Each code's bits and position, by loops over tokens and clusters."""
    kept = [i for i, id_ in enumerate(ids) if coder.frequency[id_] <= MAX_DF] or range(len(ids))
    points = {}
    for i in kept:
        unit = states[i] / np.sqrt((states[i] ** 2).sum())
        points[i] = coder.projection.passages.T @ (unit - coder.mean)
    clusters = ward(
        np.array(list(points.values()), np.float32), max(1, int(np.ceil(share * len(ids))))
    )
    found = []
    for number in range(max(clusters) + 1):
        members = [i for i, cluster in zip(points, clusters, strict=True) if cluster == number]
        centre = np.mean([points[i] for i in members], axis=0)
        nearest = max(members, key=lambda i, c=centre: float(points[i] @ c))  # type: ignore[misc]  # bound now
        found.append((tuple(int(x > 0) for x in centre), nearest))
    return sorted(found, key=lambda pair: pair[1])


def unpacked(coded: Coded) -> list[tuple[Any, int]]:
    bits = np.unpackbits(coded.codes, axis=1)
    return [
        (tuple(row), place)
        for row, place in zip(bits.tolist(), coded.positions.tolist(), strict=True)
    ]


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=20),
    st.floats(0.01, 1),
)
def test_codes_and_positions_are_the_twins(seed: int, ids: list[int], share: float) -> None:
    states = states_of(seed, len(ids))
    coded = CODER.code(states, ids, share)
    assert unpacked(coded) == twin(CODER, states, ids, share)
    assert coded.tokens == len(ids)
    assert len(coded.codes) <= np.ceil(share * len(ids))
    assert (np.diff(coded.positions) > 0).all()
    assert (coded.codes.dtype, coded.positions.dtype) == (np.uint8, np.int64)


def test_with_a_code_for_each_token_a_position_is_its_own() -> None:
    ids = [2, 3, 0, 4, 1, 5]
    coded = CODER.code(states_of(1, 6), ids, 1.0)
    assert coded.positions.tolist() == [0, 1, 3, 5]  # 2 and 4 are common
    points = (states_of(1, 6)[[0, 1, 3, 5]] / np.linalg.norm(states_of(1, 6)[[0, 1, 3, 5]], axis=1)[:, None]
              - CODER.mean) @ CODER.projection.passages  # fmt: skip
    np.testing.assert_array_equal(coded.codes, np.packbits(points > 0, axis=1))


def test_equal_states_share_a_code_at_the_place_of_the_first() -> None:
    states = states_of(2, 3)[[0, 1, 0, 1, 0, 2]]
    coded = CODER.code(states, [4, 5, 4, 5, 4, 6], 0.5)
    assert coded.positions.tolist() == [0, 1, 5]
    alone = CODER.code(states[[0, 1, 5]], [4, 5, 6], 1.0)
    np.testing.assert_array_equal(coded.codes, alone.codes)


def test_common_tokens_stay_where_there_are_no_others() -> None:
    coded = CODER.code(states_of(3, 4), [0, 1, 0, 1], 1.0)
    assert coded.positions.tolist() == [0, 1, 2, 3]


def test_common_tokens_are_left_out_but_count_for_the_share() -> None:
    coded = CODER.code(states_of(3, 8), [0, 2, 0, 3, 0, 4, 0, 5], 0.5)
    assert coded.positions.tolist() == [1, 3, 5, 7]
    assert coded.tokens == 8


def test_no_states_no_codes() -> None:
    coded = CODER.code(np.zeros((0, D), np.float32), [], 0.5)
    assert (coded.codes.shape, coded.positions.shape, coded.tokens) == ((0, 2), (0,), 0)
    assert (coded.codes.dtype, coded.positions.dtype) == (np.uint8, np.int64)


@pytest.mark.parametrize("share", [0.01, 0.5, 1.0])
def test_one_token_has_one_code(share: float) -> None:
    coded = CODER.code(states_of(4, 1), [7], share)
    assert (coded.codes.shape, coded.positions.tolist(), coded.tokens) == ((1, 2), [0], 1)


def test_lengths_of_states_do_not_matter() -> None:
    states, ids = states_of(5, 9), [2, 3, 4, 5, 6, 7, 8, 9, 2]
    scales = np.linspace(0.1, 30, 9, dtype=np.float32)[:, None]
    one, other = CODER.code(states, ids, 0.5), CODER.code(states * scales, ids, 0.5)
    assert unpacked(one) == unpacked(other)


@given(st.lists(st.integers(0, VOCABULARY - 1), max_size=20))
def test_tokens_that_tell_something_are_those_that_have_codes(ids: list[int]) -> None:
    telling = CODER.informative(ids)
    rare = [place for place, id_ in enumerate(ids) if FREQUENCY[id_] <= MAX_DF]
    assert telling.tolist() == (rare or list(range(len(ids))))
    assert telling.dtype == np.int64
    np.testing.assert_array_equal(CODER.informative(np.array(ids, np.int64)), telling)
    coded = CODER.code(states_of(1, len(ids)), ids, 1.0)
    assert set(coded.positions.tolist()) <= set(telling.tolist())


# Queries.


@given(st.integers(0, 99), st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=9))
def test_a_querys_points_are_units_and_its_weights_sum_to_one(seed: int, ids: list[int]) -> None:
    states = states_of(seed, len(ids))
    points, weights = CODER.queries(states, ids)
    assert (points.dtype, weights.dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, rtol=1e-5)
    assert weights.sum() == pytest.approx(1, abs=1e-5)
    rarity = -np.log(FREQUENCY[ids].astype(np.float64))
    np.testing.assert_allclose(weights, rarity / rarity.sum(), rtol=1e-5)
    units = states / np.linalg.norm(states, axis=1, keepdims=True)
    projected = (units - CODER.mean) @ CODER.projection.passages
    cosines = (points * projected).sum(axis=1) / np.linalg.norm(projected, axis=1)
    np.testing.assert_allclose(cosines, 1, rtol=1e-4)


def test_where_no_token_tells_anything_all_count_the_same() -> None:
    coder = coder_of(frequency=np.ones(VOCABULARY, np.float32))
    assert coder.queries(states_of(1, 4), [0, 1, 2, 3])[1].tolist() == [0.25] * 4


def test_a_query_without_tokens_has_neither_points_nor_weights() -> None:
    points, weights = CODER.queries(np.zeros((0, D), np.float32), [])
    assert (points.shape, weights.shape) == ((0, 16), (0,))


# What a coder is made of.


def test_a_coder_for_as_many_bits_as_dimensions_loses_nothing_but_the_mean() -> None:
    coder = coder_of(bits=D)
    np.testing.assert_allclose(
        coder.projection.passages.T @ coder.projection.passages, np.eye(D), atol=1e-5
    )
    units = [
        s / np.linalg.norm(s, axis=1, keepdims=True) for s in (states_of(i, 20) for i in range(8))
    ]
    np.testing.assert_allclose(coder.mean, np.concatenate(units).mean(axis=0), atol=1e-6)


def test_fewer_bits_keep_the_directions_that_vary_most() -> None:
    draw = np.random.default_rng(0)
    spread = np.array([3.0] * 8 + [0.01] * 16)
    coder = fit([(draw.standard_normal((500, D)) * spread).astype(np.float32)], D, FREQUENCY, 8, 0)
    assert np.abs(coder.projection.passages[8:]).max() < 0.05
    # The rotation spreads them over all bits alike.
    points = (draw.standard_normal((500, D)) * spread) @ coder.projection.passages
    assert points.std(axis=0).max() < 2 * points.std(axis=0).min()


def test_the_same_sample_makes_the_same_coder_and_another_seed_another() -> None:
    samples = [states_of(i, 20) for i in range(3)]
    one, two, other = (fit(samples, D, FREQUENCY, 8, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.projection.passages, two.projection.passages)
    assert not np.allclose(one.projection.passages, other.projection.passages)


@pytest.mark.parametrize("bits", [-8, 0, 4, 12, 32])
def test_bits_that_cannot_be_had_are_named(bits: int) -> None:
    reason = f"token_bits: must be a multiple of 8 from 8 to 24, the encoder's, not {bits}"
    with pytest.raises(FieldError, match=reason):
        fit([states_of(0, 5)], D, FREQUENCY, bits, 0)


@pytest.mark.parametrize("sample", [[], [np.zeros((0, D), np.float32)], [states_of(0, 1)]])
def test_a_sample_of_next_to_nothing_makes_a_coder_that_works(sample: list[Vectors]) -> None:
    coder = fit(sample, D, FREQUENCY, 16, 0)
    coded = coder.code(states_of(1, 5), [2, 3, 4, 5, 6], 1.0)
    assert coded.codes.shape == (5, 2)
    points, weights = coder.queries(states_of(1, 2), [2, 3])
    assert np.isfinite(points).all()
    assert np.isfinite(weights).all()


def test_the_states_of_a_sample_are_not_kept() -> None:
    """Of a generator one passage's are there at a time."""
    seen: list[weakref.ref[Any]] = []

    def sample() -> Iterator[Vectors]:
        for i in range(20):
            assert all(reference() is None for reference in seen[:-1])
            states = states_of(i, 20)
            seen.append(weakref.ref(states))
            yield states

    fit(sample(), D, FREQUENCY, 8, 0)
    assert len(seen) == 20


def test_document_frequencies_count_passages_not_tokens() -> None:
    found = document_frequency([[0, 0, 1], [1], []], 4)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [2 / 4, 3 / 4, 1 / 4, 1 / 4])


def test_a_token_of_all_passages_is_in_all_and_none_is_in_none() -> None:
    assert document_frequency([[0]] * 7, 2).tolist() == [1.0, 0.125]
    assert document_frequency([], 2).tolist() == [1.0, 1.0]


def test_more_bits_come_nearer_to_the_floats() -> None:
    """The scores of single bits lie around those of floats, the nearer the more bits there are."""
    dimension, passages, length = 96, 40, 12
    frequency = np.full(VOCABULARY, 0.1, np.float32)
    texts = [states_of(100 + i, length, dimension) for i in range(passages)]
    ids = [2 + i % 8 for i in range(length)]
    query, asked = states_of(1, 6, dimension) + np.repeat(texts[3][:3], 2, axis=0), [2] * 6
    coders = {bits: fit(texts, dimension, frequency, bits, 0) for bits in (16, 48, 96)}

    centred = [_unit(_unit(text) - coders[96].mean) for text in texts]
    points = _unit(_unit(query) - coders[96].mean)
    exact = np.array([(points @ text.T).max(axis=1).mean() for text in centred])

    likeness = {}
    for bits, coder in coders.items():
        coded = [coder.code(text, ids, 1.0).codes for text in texts]
        scores = maxsim(
            *coder.queries(query, asked), np.concatenate(coded), np.array([length] * passages)
        )
        likeness[bits] = float(np.corrcoef(scores, exact)[0, 1])
        assert scores.argmax() == exact.argmax() == 3 or bits == 16
    assert likeness[16] < likeness[48] < likeness[96]
    assert likeness[96] > 0.8


def _unit(vectors: Vectors) -> Vectors:
    units: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return units


# Trained projections.


def test_a_trained_projection_treats_queries_in_a_way_of_their_own() -> None:
    draw = np.random.default_rng(3)
    trained = Projection(*draw.standard_normal((2, D, 16)).astype(np.float32))
    coder = fit([states_of(0, 20)], D, FREQUENCY, 16, 0, trained)
    assert coder.projection_hash == trained.projection_hash
    states = states_of(1, 4)
    centred = states / np.linalg.norm(states, axis=1, keepdims=True) - coder.mean
    points, _ = coder.queries(states, [2, 3, 4, 5])
    cosines = (points * (wanted := centred @ trained.queries)).sum(axis=1)
    np.testing.assert_allclose(cosines, np.linalg.norm(wanted, axis=1), rtol=1e-5)
    codes = coder.code(states, [2, 3, 4, 5], 1.0).codes
    np.testing.assert_array_equal(codes, np.packbits(centred @ trained.passages > 0, axis=1))


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_what_is_merged_is_what_is_rounded(share: float) -> None:
    states, ids = states_of(6, 9), [2, 3, 0, 4, 5, 6, 7, 8, 9]
    merged, coded = CODER.merged(states, ids, share), CODER.code(states, ids, share)
    codes = np.packbits(merged @ CODER.projection.passages > 0, axis=1)
    assert sorted(map(bytes, codes)) == sorted(map(bytes, coded.codes))
    assert CODER.merged(states[:0], [], share).shape == (0, D)


# Files.


@pytest.mark.parametrize("name", ["coder.npz", "coder"])
def test_what_is_saved_is_loaded(tmp_path: Path, name: str) -> None:
    CODER.save(tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    loaded = TokenCoder.load(tmp_path / name)
    for part in ("mean", "frequency"):
        np.testing.assert_array_equal(getattr(loaded, part), getattr(CODER, part))
    assert loaded.projection_hash == CODER.projection_hash
    assert loaded.bits == 16
    states, ids = states_of(1, 7), [2, 3, 4, 5, 6, 7, 8]
    assert unpacked(loaded.code(states, ids, 0.5)) == unpacked(CODER.code(states, ids, 0.5))


def test_the_same_coder_makes_the_same_bytes(tmp_path: Path) -> None:
    CODER.save(tmp_path / "one")
    CODER.save(tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


GOOD: dict[str, Any] = {
    "mean": CODER.mean,
    "passages": CODER.projection.passages,
    "queries": CODER.projection.queries,
    "frequency": CODER.frequency,
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mean", CODER.mean.astype(np.float64)),
        ("mean", CODER.mean[:-1]),
        ("mean", CODER.mean[None]),
        ("mean", np.full(D, np.nan, np.float32)),
        ("mean", np.array(["a"] * D, object)),
        ("mean", None),
        ("passages", CODER.projection.passages.T),
        ("passages", CODER.projection.passages[:, :-1]),
        ("passages", CODER.projection.passages[:, :0]),
        ("passages", CODER.projection.passages * np.float32(np.inf)),
        ("frequency", np.zeros(VOCABULARY, np.float32)),
        ("frequency", np.full(VOCABULARY, 1.5, np.float32)),
        ("frequency", np.full(VOCABULARY, np.nan, np.float32)),
        ("frequency", np.zeros(0, np.float32)),
        ("frequency", None),
    ],
)
def test_arrays_that_are_no_coder_are_an_error(tmp_path: Path, name: str, value: Any) -> None:
    path = tmp_path / "coder.npz"
    arrays = {**GOOD, name: value}
    np.savez(path, **{key: array for key, array in arrays.items() if array is not None})
    with pytest.raises(ModelError, match=r"coder\.npz"):
        TokenCoder.load(path)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04", b"no archive", b"\x93NUMPY"])
def test_a_file_that_is_no_archive_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "coder.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=r"coder\.npz"):
        TokenCoder.load(path)


def test_one_array_alone_is_no_coder(tmp_path: Path) -> None:
    np.save(tmp_path / "coder.npy", CODER.mean)
    with pytest.raises(ModelError, match=r"coder\.npy"):
        TokenCoder.load(tmp_path / "coder.npy")


def test_a_coder_cut_short_or_changed_is_an_error_or_the_same(tmp_path: Path) -> None:
    path, draw = tmp_path / "coder.npz", np.random.default_rng(1)
    CODER.save(path)
    whole = path.read_bytes()
    assert zipfile.is_zipfile(path)
    for trial in range(60):
        spoiled = bytearray(whole)
        at = int(draw.integers(len(whole)))
        spoiled[at] ^= 1 << int(draw.integers(8))
        path.write_bytes(spoiled if trial % 2 else whole[:at])
        try:
            loaded = TokenCoder.load(path)
        except ModelError:
            continue
        np.testing.assert_array_equal(loaded.projection.passages, CODER.projection.passages)


def test_a_deflated_file_is_refused_whatever_it_says(tmp_path: Path) -> None:
    path = tmp_path / "coder.npz"
    np.savez_compressed(path, **GOOD)
    with pytest.raises(ModelError, match=r"coder\.npz: not a token coder.*compressed"):
        TokenCoder.load(path)
