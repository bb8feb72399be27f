"""A reader's codes say what the coder's formula says, and more of a state than its signs alone."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.errors import FieldError, ModelError
from lurcher.models.reader.coder import ReadingCoder, fit
from lurcher.models.tokens.clustering import Integers, Vectors

D, VOCABULARY = 24, 12
SEEN = 8  # of the vocabulary's tokens, the first so many


def occurrences(seed: int, count: int) -> tuple[Vectors, Integers]:
    """Token states (count, D) and their tokens: alike where the token is, more so in some directions."""
    common = np.random.default_rng(99)
    of_token, spread = common.standard_normal((SEEN, D)), np.linspace(1.2, 0.1, D)
    draw = np.random.default_rng(seed)
    ids = draw.integers(0, SEEN, count)
    noise = draw.standard_normal((count, D)) * spread
    return (of_token[ids] + np.linspace(-1, 1, D) + noise).astype(np.float32), ids


def mean_of(states: Vectors) -> Vectors:
    units = states / np.linalg.norm(states, axis=1, keepdims=True)
    return np.asarray(units.mean(axis=0), np.float32)


SAMPLE, SAMPLE_IDS = occurrences(0, 600)
MEAN = mean_of(SAMPLE)
CODER = fit([(SAMPLE, SAMPLE_IDS)], D, VOCABULARY, 16, seed=3)


def left(found: Vectors, wanted: Vectors) -> float:
    """The share of the variance of ``wanted`` that ``found`` leaves."""
    return float(((found - wanted) ** 2).sum() / (wanted**2).sum())


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, VOCABULARY - 1), max_size=6))
def test_codes_and_what_they_stand_for_are_the_formulas(seed: int, ids: list[int]) -> None:
    states = np.random.default_rng(seed).standard_normal((len(ids), D)).astype(np.float32)
    tokens = np.array(ids, np.int64)
    codes = CODER.code(states, tokens)
    assert codes.shape == (len(ids), 2)
    assert codes.dtype == np.uint8
    decoded = CODER.decode(codes, tokens)
    assert decoded.shape == (len(ids), D)
    assert decoded.dtype == np.float32
    for state, token, code, found in zip(states, ids, codes, decoded, strict=True):
        centre = CODER.centres[token].astype(np.float64)
        apart = state / np.sqrt((state.astype(np.float64) ** 2).sum()) - CODER.mean - centre
        wanted = centre.copy()
        for number in range(16):
            along = CODER.rotation[:, number].astype(np.float64)
            one = bool(code[number // 8] >> (7 - number % 8) & 1)
            assert one == (apart @ along > 0) or abs(apart @ along) < 1e-6
            wanted += CODER.scale * (1 if one else -1) * along
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_fit_is_its_formulas() -> None:
    np.testing.assert_allclose(CODER.mean, MEAN, atol=1e-6)
    units = SAMPLE / np.linalg.norm(SAMPLE, axis=1, keepdims=True) - MEAN
    for token in range(VOCABULARY):
        own = units[token == SAMPLE_IDS]
        np.testing.assert_allclose(CODER.centres[token], own.sum(0) / (len(own) + 2), atol=2e-3)
    assert not CODER.centres[SEEN:].any()
    apart = units - CODER.centres[SAMPLE_IDS]
    # What the bits are of is the space of the largest components, however it is turned.
    components = np.linalg.eigh(apart.T @ apart)[1][:, -16:]
    ours = CODER.rotation @ CODER.rotation.T
    np.testing.assert_allclose(ours, components @ components.T, atol=1e-4)
    np.testing.assert_allclose(CODER.rotation.T @ CODER.rotation, np.eye(16), atol=1e-5)
    turned = apart @ CODER.rotation
    assert CODER.scale == pytest.approx(np.abs(turned).mean(), rel=1e-5)
    # The turn shares the variance out, so that no bit says much more than another.
    shared, alone = turned.var(axis=0), (apart @ components).var(axis=0)
    assert shared.max() / shared.min() < alone.max() / alone.min() / 2


@given(cuts=st.lists(st.integers(0, 600), max_size=8))
def test_in_which_pieces_the_sample_comes_does_not_matter(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), 600]
    pieces = [
        (SAMPLE[one:other], SAMPLE_IDS[one:other]) for one, other in itertools.pairwise(edges)
    ]
    coder = fit(iter(pieces), D, VOCABULARY, 16, seed=3)
    np.testing.assert_allclose(coder.mean, CODER.mean, atol=1e-6)
    np.testing.assert_allclose(coder.centres, CODER.centres, atol=1e-3)
    ours, theirs = (one.rotation @ one.rotation.T for one in (coder, CODER))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert coder.scale == pytest.approx(CODER.scale, rel=1e-4)


def test_the_scale_is_of_the_first_states() -> None:
    sample = [(SAMPLE[:30], SAMPLE_IDS[:30]), (SAMPLE[30:], SAMPLE_IDS[30:])]
    coder = fit(sample, D, VOCABULARY, 16, seed=3, scale_sample=50)
    units = SAMPLE[:50] / np.linalg.norm(SAMPLE[:50], axis=1, keepdims=True)
    apart = (units - coder.mean - coder.centres[SAMPLE_IDS[:50]]) @ coder.rotation
    assert coder.scale == pytest.approx(np.abs(apart).mean(), rel=1e-4)
    np.testing.assert_allclose(coder.rotation, CODER.rotation, atol=1e-4)


def test_no_other_scale_comes_nearer() -> None:
    codes, wanted = CODER.code(SAMPLE, SAMPLE_IDS), CODER.centred(SAMPLE)
    errors = [
        left(
            ReadingCoder(MEAN, CODER.centres, CODER.rotation, factor * CODER.scale).decode(
                codes, SAMPLE_IDS
            ),
            wanted,
        )
        for factor in (0.9, 0.97, 1.0, 1.03, 1.1)
    ]
    assert errors.index(min(errors)) == 2


def test_codes_explain_more_than_signs_of_the_states_alone() -> None:
    states, ids = occurrences(1, 400)  # not those that it was made of
    wanted = CODER.centred(states)
    signs = np.sign(wanted)
    signs *= (signs * wanted).sum() / signs.size  # by the best scale
    as_many = fit([(SAMPLE, SAMPLE_IDS)], D, VOCABULARY, D, seed=3)
    of_signs = left(signs, wanted)
    of_as_many = left(as_many.decode(as_many.code(states, ids), ids), wanted)
    of_fewer = left(CODER.decode(CODER.code(states, ids), ids), wanted)
    assert of_as_many < 0.7 * of_signs
    assert of_as_many < of_fewer < of_signs  # 16 bits of 24


def test_a_token_that_was_never_seen_is_coded_by_its_state_alone() -> None:
    states, _ = occurrences(2, 50)
    strange = np.full(50, VOCABULARY - 1)
    decoded = CODER.decode(CODER.code(states, strange), strange)
    wanted = CODER.centred(states)
    signs = np.where(wanted @ CODER.rotation > 0, 1, -1)
    np.testing.assert_allclose(decoded, CODER.scale * signs @ CODER.rotation.T, atol=1e-6)
    # It says less than of one that was seen, and more than nothing.
    assert left(decoded, wanted) < 1


def test_a_token_seen_once_is_moved_a_third_of_the_way() -> None:
    states = np.array([[3.0, 4.0, *[0.0] * (D - 2)], [-3.0, -4.0, *[0.0] * (D - 2)]], np.float32)
    coder = fit([(states, np.array([5, 7]))], D, VOCABULARY, 8, seed=0)
    np.testing.assert_allclose(coder.mean, 0, atol=1e-7)
    np.testing.assert_allclose(coder.centres[5, :3], [0.2, 0.8 / 3, 0], atol=1e-3)
    np.testing.assert_allclose(coder.centres[7, :3], [-0.2, -0.8 / 3, 0], atol=1e-3)
    assert not np.delete(coder.centres, [5, 7], axis=0).any()


def test_queries_are_of_unit_norm_off_the_mean() -> None:
    states, _ = occurrences(3, 5)
    found = CODER.query(states)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    for one, state in zip(found, states, strict=True):
        wanted = state / np.linalg.norm(state) - MEAN
        np.testing.assert_allclose(one, wanted / np.linalg.norm(wanted), atol=1e-6)


def test_how_long_a_state_is_does_not_count() -> None:
    states, ids = occurrences(4, 20)
    np.testing.assert_array_equal(CODER.code(states, ids), CODER.code(4 * states, ids))
    np.testing.assert_allclose(CODER.query(states), CODER.query(4 * states), atol=1e-6)


def test_no_states() -> None:
    none, no_ids = np.zeros((0, D), np.float32), np.zeros(0, np.int64)
    assert CODER.code(none, no_ids).shape == (0, 2)
    assert CODER.decode(np.zeros((0, 2), np.uint8), no_ids).shape == (0, D)
    assert CODER.query(none).shape == (0, D)
    # Of a corpus of empty texts: it works, and is of no use.
    coder = fit([], D, VOCABULARY, 16, seed=0)
    states, ids = occurrences(5, 4)
    assert np.isfinite(coder.decode(coder.code(states, ids), ids)).all()


def test_a_state_of_zeros_is_one_like_any() -> None:
    zeros, ids = np.zeros((2, D), np.float32), np.array([0, VOCABULARY - 1])
    assert np.isfinite(CODER.decode(CODER.code(zeros, ids), ids)).all()
    assert np.isfinite(CODER.query(zeros)).all()


def test_a_token_beyond_the_vocabulary_is_an_error() -> None:
    with pytest.raises(IndexError):
        CODER.code(np.ones((1, D), np.float32), np.array([VOCABULARY]))


@pytest.mark.parametrize("bits", [-8, 0, 4, 12, D + 8])
def test_bits_that_cannot_be_had(bits: int) -> None:
    with pytest.raises(FieldError, match=f"multiple of 8 from 8 to 24.*not {bits}") as caught:
        fit([(SAMPLE, SAMPLE_IDS)], D, VOCABULARY, bits, seed=0)
    assert caught.value.field == "answer_bits"


def test_the_seed_decides_the_turn() -> None:
    same, other = (fit([(SAMPLE, SAMPLE_IDS)], D, VOCABULARY, 16, seed=s) for s in (3, 4))
    np.testing.assert_array_equal(same.rotation, CODER.rotation)
    assert np.abs(other.rotation - CODER.rotation).max() > 0.1


# --- on disk


def test_a_saved_coder_is_the_same(tmp_path: Path) -> None:
    CODER.save(tmp_path / "coder.npz")
    loaded = ReadingCoder.load(tmp_path / "coder.npz")
    assert loaded.bits == CODER.bits == 16
    np.testing.assert_array_equal(loaded.centres, CODER.centres)
    assert loaded.centres.dtype == np.float16
    states, _ = occurrences(6, 30)
    ids = np.arange(30) % VOCABULARY
    codes = CODER.code(states, ids)
    np.testing.assert_array_equal(loaded.code(states, ids), codes)
    np.testing.assert_allclose(loaded.decode(codes, ids), CODER.decode(codes, ids), atol=1e-7)
    np.testing.assert_array_equal(loaded.query(states), CODER.query(states))
    # Tokens that were never seen take no room.
    large = fit([(SAMPLE, SAMPLE_IDS)], D, 30_000, 16, seed=3)
    large.save(tmp_path / "large.npz")
    assert (tmp_path / "large.npz").stat().st_size == (tmp_path / "coder.npz").stat().st_size
    assert len(ReadingCoder.load(tmp_path / "large.npz").centres) == 30_000


def test_the_same_coder_makes_the_same_bytes(tmp_path: Path) -> None:
    CODER.save(tmp_path / "one")
    CODER.save(tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


GOOD: dict[str, Any] = {
    "mean": MEAN,
    "rotation": CODER.rotation,
    "scale": np.float32(CODER.scale),
    "seen": np.arange(SEEN, dtype=np.int32),
    "centres": CODER.centres[:SEEN],
    "vocabulary": np.int32(VOCABULARY),
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mean", MEAN[:-1]),
        ("mean", MEAN[None]),
        ("mean", MEAN.astype(np.float64)),
        ("mean", np.full(D, np.nan, np.float32)),
        ("mean", np.array(["a"] * D, object)),
        ("scale", np.float32(0)),
        ("scale", np.float32(-1)),
        ("rotation", CODER.rotation.T),
        ("rotation", CODER.rotation[:, :-1]),
        ("rotation", CODER.rotation[:, :0]),
        ("rotation", CODER.rotation[:, 0]),
        ("rotation", CODER.rotation * np.float32(np.inf)),
        ("scale", np.full(1, 0.5, np.float32)),
        ("scale", np.float32(np.nan)),
        ("seen", np.arange(SEEN - 1, dtype=np.int32)),
        ("seen", np.arange(SEEN)),
        ("seen", np.arange(SEEN, dtype=np.int32) - 1),
        ("seen", np.arange(SEEN, dtype=np.int32) + VOCABULARY - SEEN + 1),
        ("seen", np.zeros((SEEN, 1), np.int32)),
        ("centres", CODER.centres[:SEEN].astype(np.float32)),
        ("centres", CODER.centres[:SEEN, :-1]),
        ("centres", np.full((SEEN, D), np.inf, np.float16)),
        ("vocabulary", np.int32(0)),
        ("vocabulary", np.int32(-1)),
        ("vocabulary", np.int32(2**31 - 1)),
        ("vocabulary", np.full(1, VOCABULARY, np.int32)),
        *((name, None) for name in GOOD),
    ],
)
def test_arrays_that_are_no_coder_are_an_error(tmp_path: Path, name: str, value: Any) -> None:
    path = tmp_path / "coder.npz"
    arrays = {**GOOD, name: value}
    np.savez(path, **{key: array for key, array in arrays.items() if array is not None})
    with pytest.raises(ModelError, match=r"coder\.npz"):
        ReadingCoder.load(path)


def test_good_arrays_are_a_coder(tmp_path: Path) -> None:
    np.savez(tmp_path / "coder.npz", **GOOD)
    np.testing.assert_array_equal(
        ReadingCoder.load(tmp_path / "coder.npz").centres[:SEEN], CODER.centres[:SEEN]
    )


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04", b"no archive", b"\x93NUMPY"])
def test_a_file_that_is_no_archive_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "coder.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=r"coder\.npz"):
        ReadingCoder.load(path)


def test_a_coder_cut_short_or_changed_is_an_error_or_the_same(tmp_path: Path) -> None:
    path, draw = tmp_path / "coder.npz", np.random.default_rng(1)
    CODER.save(path)
    whole = path.read_bytes()
    for trial in range(60):
        spoiled = bytearray(whole)
        at = int(draw.integers(len(whole)))
        spoiled[at] ^= 1 << int(draw.integers(8))
        path.write_bytes(spoiled if trial % 2 else whole[:at])
        try:
            loaded = ReadingCoder.load(path)
        except ModelError:
            continue
        np.testing.assert_array_equal(loaded.rotation, CODER.rotation)
        np.testing.assert_array_equal(loaded.centres, CODER.centres)


def test_a_deflated_file_is_refused_whatever_it_says(tmp_path: Path) -> None:
    path = tmp_path / "coder.npz"
    np.savez_compressed(path, **GOOD)
    with pytest.raises(ModelError, match=r"coder\.npz.*compressed"):
        ReadingCoder.load(path)
