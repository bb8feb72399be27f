"""The native library's late interaction gives NumPy's numbers, to the last bit, on every instruction set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.models.engines.native import late, library
from lurcher.models.engines.native.library import Level, Library
from lurcher.models.ranker import maxsim_reference
from lurcher.models.ranker.maxsim import NOTHING, best_met
from lurcher.models.tokens.coder import Codes
from lurcher.models.tokens.products import Vectors
from tests.models.native.threads import all_equal

found = library.load()
if isinstance(found, str):
    pytest.skip(found, allow_module_level=True)
NATIVE: Library = found
HERE = NATIVE.levels


def asked(seed: int, length: int, bits: int) -> Vectors:
    """Query tokens (length, bits) of norm 1."""
    draw = np.random.default_rng(seed).standard_normal((length, bits)).astype(np.float32)
    return draw / np.maximum(np.linalg.norm(draw, axis=1, keepdims=True), 1e-6)


def stored(seed: int, codes: int, bits: int) -> Codes:
    return np.random.default_rng(seed).integers(0, 256, (codes, bits // 8), np.uint8)


@pytest.mark.parametrize("level", HERE)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 40),
    st.integers(1, 33).map(lambda count: 8 * count),
    st.lists(st.integers(0, 5), max_size=6),
)
def test_each_level_gives_the_bits_of_the_reference(
    level: Level, seed: int, length: int, bits: int, counts: list[int]
) -> None:
    queries, codes = asked(seed, length, bits), stored(seed, sum(counts), bits)
    cosines = maxsim_reference.similarities(queries, codes)
    given_counts = np.array(counts, np.int64)
    np.testing.assert_array_equal(late.similarities(NATIVE, queries, codes, level), cosines)
    best = late.best_cosines(NATIVE, queries, codes, given_counts, NOTHING, level)
    np.testing.assert_array_equal(best, best_met(cosines, given_counts))


@pytest.mark.parametrize("level", HERE)
def test_the_longest_query_token_there_is(level: Level) -> None:
    """All of its norm in one bit, or alike in all of them: the largest sums."""
    for bits in (8, 160, 1024):
        one = np.zeros((1, bits), np.float32)
        one[0, 3] = -1
        alike = np.full((1, bits), bits**-0.5, np.float32)
        codes = np.vstack([stored(1, 4, bits), np.full((1, bits // 8), 255, np.uint8)])
        for queries in (one, alike):
            np.testing.assert_array_equal(
                late.similarities(NATIVE, queries, codes, level),
                maxsim_reference.similarities(queries, codes),
            )


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38, 40.0])
def test_query_tokens_whose_sums_are_not_exact_are_left_to_numpy(value: float) -> None:
    queries = asked(2, 3, 16)
    queries[1, 5] = value
    assert late.similarities(NATIVE, queries, stored(2, 4, 16)) is None
    assert late.best_cosines(NATIVE, queries, stored(2, 4, 16), np.array([4]), NOTHING) is None


@pytest.mark.parametrize("counts", [[5], [3], [-1, 5], [2, 2, 1], [2**62, 2**62]])
def test_counts_that_do_not_fit_are_an_error(counts: list[int]) -> None:
    with pytest.raises(ValueError, match="counts do not add up to 4 codes"):
        late.best_cosines(NATIVE, asked(3, 2, 16), stored(3, 4, 16), np.array(counts), NOTHING)


def test_codes_of_another_width_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"codes \(4, 3\) do not fit query tokens of 16 bits"):
        late.similarities(NATIVE, asked(4, 2, 16), stored(4, 4, 24))


def test_arrays_that_are_parts_of_others_are_read_as_they_look() -> None:
    queries, codes = asked(5, 9, 16)[::2], stored(5, 8, 32)[::-1, :2]
    np.testing.assert_array_equal(
        late.similarities(NATIVE, queries, codes), maxsim_reference.similarities(queries, codes)
    )


def test_many_threads_at_once_get_what_one_gets() -> None:
    queries, codes, counts = asked(6, 20, 160), stored(6, 900, 160), np.full(30, 30)

    def ask() -> npt.NDArray[Any]:
        found = late.best_cosines(NATIVE, queries, codes, counts, NOTHING)
        assert found is not None
        return found

    all_equal(ask, ask())


def test_a_file_that_is_no_library_is_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "native_library.so"
    assert "does not exist" in str(library.load(path))
    path.write_bytes(b"\x7fELF cut short")
    library.load.cache_clear()
    assert isinstance(library.load(path), str)


def test_a_level_that_this_machine_lacks_is_an_error() -> None:
    if NATIVE.level == "amx":
        pytest.skip("this machine has every level")
    with pytest.raises(ValueError, match="level 'amx': this machine has"):
        library.level_number(NATIVE, "amx")
