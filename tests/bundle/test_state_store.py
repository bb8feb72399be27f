"""What the state store gives back, and what it refuses to open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lurcher.bundle.state_codecs import SIGNS, Codec, Halves, Signs
from lurcher.bundle.state_store import StateSettings, StateWriter, describe_states
from lurcher.errors import BundleCorrupt, ModelError
from lurcher.models.ranker.seq2seq import RankerConfig
from tests.bundle.opened_stores import state_store

Array = npt.NDArray[np.float32]

WIDTH = 12  # no multiple of 8
SEGMENT = "segments/000000"
HASH = f"sha256:{'0' * 64}"
RANKER = RankerConfig(
    name="stub", architecture="t5", dimension=WIDTH, max_tokens=300, max_query_tokens=8, start=0,
    end=1, score="likelihood", likelihood="mean", source=HASH, fingerprint=HASH,
)  # fmt: skip

states_of_passages = st.lists(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(0, 7), st.just(WIDTH)),
        elements=st.floats(-8, 8, width=32),
    ),
    min_size=1,
    max_size=6,
)


def make_signs(seed: int = 0) -> Signs:
    rng = np.random.default_rng(seed)
    return Signs.fit(rng.standard_normal((500, WIDTH)).astype(np.float32) * 3 + 1)


CODECS: list[Codec] = [Halves(WIDTH), make_signs()]


def write(bundle: Path, codec: Codec, states: list[Array], cut: list[bool]) -> StateSettings:
    """A store of one bundle's segment, each passage appended on its own."""
    (bundle / SEGMENT).mkdir(parents=True)
    if isinstance(codec, Signs):
        (bundle / SIGNS).parent.mkdir()
        codec.save(bundle / SIGNS)
    with StateWriter(bundle / SEGMENT, codec, RANKER.max_tokens) as writer:
        for one, truncated in zip(states, cut, strict=True):
            writer.append_states([codec.pack(one)], [truncated])
    return describe_states(bundle, SEGMENT, codec, RANKER)


def random_states(lengths: list[int], seed: int = 0) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((length, WIDTH)).astype(np.float32) for length in lengths]


@pytest.fixture(params=CODECS, ids=lambda codec: codec.form)
def codec(request: pytest.FixtureRequest) -> Codec:
    return request.param  # type: ignore[no-any-return]  # pytest does not say


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(states=states_of_passages, data=st.data())
def test_passages_come_back_in_any_order(
    codec: Codec, tmp_path_factory: pytest.TempPathFactory, states: list[Array], data: st.DataObject
) -> None:
    bundle = tmp_path_factory.mktemp("bundle")
    cut = data.draw(st.lists(st.booleans(), min_size=len(states), max_size=len(states)))
    found = write(bundle, codec, states, cut)
    assert (found.states, found.truncated) == (sum(map(len, states)), sum(cut))
    assert found.bytes == sum(f.stat().st_size for f in (bundle / SEGMENT).iterdir())
    store = state_store(bundle, SEGMENT, found, RANKER, len(states))
    rows = np.array(data.draw(st.lists(st.integers(0, len(states) - 1), max_size=9)), np.int64)
    given_back = store.gather(rows)
    assert len(given_back) == len(rows)
    for row, one in zip(rows, given_back, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_array_equal(one, codec.unpack(codec.pack(states[row])))


def test_halves_are_float16() -> None:
    (states,) = random_states([40])
    packed = Halves(WIDTH).pack(states)
    np.testing.assert_array_equal(Halves(WIDTH).unpack(packed), states.astype(np.float16))
    assert packed.itemsize * packed.shape[1] == 2 * WIDTH


@pytest.mark.parametrize("value", [1e5, np.nan])
def test_states_beyond_float16_are_refused(value: float) -> None:
    states = np.full((1, WIDTH), value, np.float32)
    with pytest.raises(ModelError, match="beyond float16; store them as '1-bit'"):
        Halves(WIDTH).pack(states)


def test_bits_are_mean_and_scale_times_sign() -> None:
    (states,) = random_states([40])
    signs = make_signs()
    packed = signs.pack(states)
    wanted = signs.mean + signs.scale * np.where(states > signs.mean, 1, -1)
    np.testing.assert_allclose(signs.unpack(packed), wanted, atol=1e-6)
    assert (packed.dtype, packed.shape) == (np.uint8, (40, 2))


def test_the_scale_leaves_the_least_error() -> None:
    states = random_states([2_000], seed=3)[0] ** 3  # heavy tails
    signs = Signs.fit(states)

    def error(factor: float) -> Any:
        other = Signs(signs.mean, np.float32(factor) * signs.scale)
        return np.square(other.unpack(other.pack(states)) - states).mean(axis=0)

    for factor in (0.9, 1.1):
        assert (error(1) < error(factor)).all()
    np.testing.assert_allclose(signs.mean, states.mean(axis=0), atol=1e-6)


def test_a_writer_that_appends_nothing_leaves_a_store_of_nothing(
    codec: Codec, tmp_path: Path
) -> None:
    found = write(tmp_path, codec, [], [])
    store = state_store(tmp_path, SEGMENT, found, RANKER, 0)
    assert store.gather(np.zeros(0, np.int64)) == []


def wrong_numbers(bundle: Path) -> None:
    file = bundle / SEGMENT / "states.idx"
    file.write_bytes(b"\7" + file.read_bytes()[1:])


def no_signs(bundle: Path) -> None:
    (bundle / SIGNS).unlink()


def pickled_signs(bundle: Path) -> None:
    with (bundle / SIGNS).open("wb") as out:
        np.savez(out, mean=np.array([{}]), scale=np.array([{}]))


def uneven_signs(bundle: Path) -> None:
    Signs(np.zeros(WIDTH, np.float32), np.zeros(3, np.float32)).save(bundle / SIGNS)


def narrow_signs(bundle: Path) -> None:
    Signs(np.zeros(8, np.float32), np.zeros(8, np.float32)).save(bundle / SIGNS)


@pytest.mark.parametrize(
    ("damage", "file", "reason"),
    [
        (wrong_numbers, "states.idx", r"counts 10 states, expected 6"),
        (no_signs, "states/signs.npz", "not means and scales"),
        (pickled_signs, "states/signs.npz", "not means and scales"),
        (uneven_signs, "states/signs.npz", "its arrays do not fit together"),
        (narrow_signs, "states/signs.npz", "8 dimensions, expected 12"),
    ],
)
def test_a_damaged_store_is_refused(tmp_path: Path, damage: Any, file: str, reason: str) -> None:
    found = write(tmp_path, make_signs(), random_states([3, 2, 1]), [False] * 3)
    damage(tmp_path)
    with pytest.raises(BundleCorrupt, match=reason) as caught:
        state_store(tmp_path, SEGMENT, found, RANKER, 3)
    assert caught.value.file.endswith(file)


def test_states_of_another_ranker_are_refused(tmp_path: Path) -> None:
    found = write(tmp_path, make_signs(), random_states([3]), [False])
    other = RANKER.model_copy(update={"fingerprint": f"sha256:{'1' * 64}"})
    with pytest.raises(BundleCorrupt, match="of another ranker than the bundle's"):
        state_store(tmp_path, SEGMENT, found, other, 1)
