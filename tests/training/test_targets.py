"""What the teacher says of each query, kept on disk, and its batches."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("transformers", reason="the [train] extra is not installed")

import torch

from lurcher.bundle.bundle import Bundle
from lurcher.models.encoders.encoder import Encoder
from lurcher.training.alignment.targets import DEPTH, Batch, Targets, batches


@pytest.fixture(scope="module")
def encoder(teacher: Path) -> Encoder:
    return Encoder.load(teacher, "teacher", 1)


@pytest.fixture(scope="module")
def passages(bundle: Path) -> npt.NDArray[np.float32]:
    with closing(Bundle.open(bundle)) as opened:
        return opened.vectors.stored()[0 : opened.passages.count]


@pytest.fixture(scope="module")
def targets(
    encoder: Encoder,
    passages: npt.NDArray[np.float32],
    questions: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Targets:
    return Targets.make(tmp_path_factory.mktemp("targets"), encoder, questions, passages)


def drawn(targets: Targets, size: int, seed: int) -> list[Batch]:
    return list(batches(targets, size, seed))


def rows_of(batch: Batch, targets: Targets) -> list[int]:
    """Which queries are in ``batch``, by their vectors."""
    same = (batch.vectors.numpy()[:, None] == targets.vectors[None]).all(axis=2)
    assert (same.sum(axis=1) == 1).all()
    return [int(row) for row in same.argmax(axis=1)]


def test_vectors_and_states_are_the_encoders(
    targets: Targets, encoder: Encoder, questions: list[str]
) -> None:
    vectors, states = encoder.encode_states(encoder.tokenise(questions))
    np.testing.assert_array_equal(targets.vectors, vectors)
    assert len(targets) == len(questions)
    for text, start, length, wanted in zip(
        encoder.tokenise(questions), targets.starts, targets.lengths, states, strict=True
    ):
        rows = slice(start, start + length)
        assert list(targets.ids[rows]) == list(text.ids)
        np.testing.assert_array_equal(targets.states[rows], wanted.astype(np.float16))


def test_the_first_passages_are_those_of_exact_search(
    targets: Targets, passages: npt.NDArray[np.float32]
) -> None:
    assert targets.passages is not None
    assert targets.passages.shape == (len(targets), DEPTH)
    scores = targets.vectors @ passages.T
    for row, found in enumerate(targets.passages):
        assert len(set(found)) == DEPTH
        best = np.sort(scores[row])[::-1][:DEPTH]
        np.testing.assert_allclose(scores[row][found], best, atol=1e-6)


def test_of_few_passages_all_are_taken_and_without_any_none(
    encoder: Encoder, passages: npt.NDArray[np.float32], tmp_path: Path
) -> None:
    few = Targets.make(tmp_path / "few", encoder, ["a dog"], passages[:3])
    assert few.passages is not None
    assert sorted(few.passages[0]) == [0, 1, 2]
    none = Targets.make(tmp_path / "none", encoder, ["a dog", "wind"], None)
    assert none.passages is None
    assert all(batch.rows is None for batch in batches(none, 1, 0))


def test_opened_again_they_are_the_same(encoder: Encoder, tmp_path: Path) -> None:
    made = Targets.make(tmp_path, encoder, ["a dog", "the wind turbine", ""], None)
    again = Targets.open(tmp_path)
    for name in ("ids", "starts", "lengths", "vectors", "states"):
        np.testing.assert_array_equal(getattr(again, name), getattr(made, name))


def test_progress_adds_up(
    encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lurcher.training.alignment.targets._CHUNK", 2)
    told: list[int] = []
    made = Targets.make(
        tmp_path, encoder, ["a", "dog", "a dog", "wind", "water"], None, told.append
    )
    assert told == [2, 2, 1]
    np.testing.assert_allclose(
        made.vectors, encoder.encode(["a", "dog", "a dog", "wind", "water"]), atol=1e-6
    )


@pytest.mark.parametrize("file", ["vectors.npy", "starts.new.npy"])
def test_what_did_not_finish_is_not_opened(
    encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    """The disk fills up while ``file`` is written, and part of it stays."""
    save: Callable[..., None] = np.save

    def full(path: Path, array: Any) -> None:
        save(path, array)
        if path.name == file:
            path.write_bytes(path.read_bytes()[:-8])
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="No space"):
        Targets.make(tmp_path, encoder, ["a dog", "wind"], None)
    monkeypatch.undo()
    with pytest.raises(FileNotFoundError):
        Targets.open(tmp_path)
    assert len(Targets.make(tmp_path, encoder, ["a dog", "wind"], None)) == 2


def synthetic(lengths: list[int]) -> Targets:
    """Queries of these lengths; each one's vector and tokens are its number."""
    starts = np.cumsum([0, *lengths])
    numbers = np.repeat(np.arange(len(lengths)), lengths)
    return Targets(
        numbers.astype(np.int32),
        starts[:-1],
        np.diff(starts),
        np.arange(len(lengths), dtype=np.float32)[:, None].repeat(2, axis=1),
        numbers.astype(np.float16)[:, None].repeat(2, axis=1),
        np.arange(len(lengths), dtype=np.int32)[:, None],
    )


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=200),
    st.integers(1, 70),
    st.integers(0, 99),
)
def test_every_query_comes_once(lengths: list[int], size: int, seed: int) -> None:
    targets = synthetic(lengths)
    found = drawn(targets, size, seed)
    assert len(found) == max(1, len(lengths) // size)
    numbers = [int(n) for batch in found for n in batch.vectors[:, 0]]
    assert sorted(numbers) == list(range(len(lengths)))
    assert max(len(b.ids) for b in found) - min(len(b.ids) for b in found) <= 1


def test_a_batch_is_of_one_length_about_and_the_rest_is_masked() -> None:
    lengths = [int(n) for n in np.random.default_rng(0).integers(1, 40, 400)]
    found = drawn(synthetic(lengths), 10, 0)
    for batch in found:
        numbers = batch.vectors[:, 0].long()
        real = torch.tensor([lengths[n] for n in numbers])
        assert batch.ids.shape == batch.mask.shape == (len(numbers), int(real.max()))
        assert torch.equal(batch.mask.sum(dim=1), real.float())
        assert torch.equal(batch.ids, (batch.mask * numbers[:, None]).long())
        assert torch.equal(batch.states[..., 0], batch.mask * numbers[:, None])
        assert batch.rows is not None
        assert torch.equal(batch.rows[:, 0], numbers)
        assert (batch.ids.dtype, batch.states.dtype) == (torch.int64, torch.float32)
    padded = sum(batch.mask.numel() for batch in found) / sum(lengths)
    assert padded < 1.1


def test_a_seed_decides_the_order_and_the_company(targets: Targets) -> None:
    first, again, other = (drawn(targets, 8, seed) for seed in (0, 0, 1))
    assert all(torch.equal(a.vectors, b.vectors) for a, b in zip(first, again, strict=True))
    company = [{frozenset(rows_of(batch, targets)) for batch in run} for run in (first, other)]
    assert company[0] != company[1]


def test_a_sample_is_some_of_the_queries_as_they_were(targets: Targets) -> None:
    some = targets.sample(10, 0)
    assert len(some) == 10
    for batch in batches(some, 4, 0):
        for row, number in enumerate(rows_of(batch, targets)):
            start, length = targets.starts[number], int(targets.lengths[number])
            assert batch.ids[row, :length].tolist() == list(targets.ids[start : start + length])
            assert batch.rows is not None
            assert targets.passages is not None
            assert batch.rows[row].tolist() == list(targets.passages[number])
    np.testing.assert_array_equal(some.vectors, targets.sample(10, 0).vectors)
    assert not np.array_equal(some.vectors, targets.sample(10, 1).vectors)
    assert len(targets.sample(10_000, 0)) == len(targets)
