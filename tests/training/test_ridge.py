"""The head's start: the ridge solution, of features pooled as teacher and student pool them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("transformers", reason="the [train] extra is not installed")

import torch

from lurcher.models.encoders.encoder import Encoder
from lurcher.training.alignment.ridge import ridge, start_head
from lurcher.training.alignment.student import Student
from lurcher.training.alignment.targets import Targets
from lurcher.training.compression.layers import keep_layers
from lurcher.training.original import Original, load_original, read_recipe

Array = npt.NDArray[np.float64]


def normal(*shape: int, seed: int) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


@given(st.integers(0, 999), st.integers(1, 40))
def test_it_is_the_least_penalised_squared_error(seed: int, count: int) -> None:
    """Least squares over the centred data with rows of the penalty's root below it."""
    x, y = normal(count, 6, seed=seed) + 2, normal(count, 3, seed=seed + 1) - 1
    weight, bias = (a.numpy() for a in ridge(torch.from_numpy(x), torch.from_numpy(y)))
    centred = x - x.mean(axis=0)
    penalty = 1e-3 * (centred**2).sum(axis=0).mean()
    above = np.vstack([centred, np.sqrt(penalty) * np.eye(6)])
    below = np.vstack([y - y.mean(axis=0), np.zeros((6, 3))])
    wanted, *_ = np.linalg.lstsq(above, below, rcond=None)
    np.testing.assert_allclose(weight, wanted, atol=1e-6)
    np.testing.assert_allclose(x.mean(axis=0) @ weight + bias, y.mean(axis=0), atol=1e-9)


def test_of_queries_that_are_all_alike_the_bias_is_learnt() -> None:
    """As those in a script that the vocabulary does not know."""
    x = torch.from_numpy(normal(1, 6, seed=0)).expand(40, 6)
    y = torch.from_numpy(normal(40, 3, seed=1))
    weight, bias = ridge(x, y)
    torch.testing.assert_close(x[0] @ weight + bias, y.mean(dim=0))


def test_a_linear_map_is_found() -> None:
    x, weight = normal(500, 8, seed=0), normal(8, 4, seed=1)
    found, bias = ridge(torch.from_numpy(x), torch.from_numpy(x @ weight + 3))
    np.testing.assert_allclose(found.numpy(), weight, atol=0.01)
    np.testing.assert_allclose(bias.numpy(), 3, atol=0.01)


def test_directions_that_do_not_occur_stay_small() -> None:
    x = normal(50, 3, seed=0) @ normal(3, 8, seed=1)  # rank 3 of 8
    weight, bias = ridge(torch.from_numpy(x), torch.from_numpy(normal(50, 4, seed=2)))
    assert torch.isfinite(weight).all()
    assert torch.isfinite(bias).all()
    assert weight.abs().max() < 1


@pytest.fixture
def source(original: Path) -> Original:
    return load_original(read_recipe(original, None, None), 80)


@pytest.fixture
def targets(teacher: Path, questions: list[str], tmp_path: Path) -> Targets:
    encoder = Encoder.load(teacher, "teacher", 1)
    return Targets.make(tmp_path / "targets", encoder, questions, None)


def first_layer(source: Original) -> Student:
    return Student(keep_layers(source.model, [0]), source.recipe, [0])


def distance(student: Student, targets: Targets) -> float:
    """Mean squared distance of the student's vectors to the teacher's."""
    total = 0.0
    with torch.inference_mode():
        for row, (start, length) in enumerate(zip(targets.starts, targets.lengths, strict=True)):
            ids = torch.from_numpy(targets.ids[start : start + length].astype(np.int64))[None]
            vector, _ = student(ids, torch.ones(ids.shape))
            total += float((vector[0].numpy() - targets.vectors[row]).__pow__(2).sum())
    return total / len(targets)


def test_a_start_is_much_nearer_than_none(source: Original, targets: Targets) -> None:
    student = first_layer(source)
    before = distance(student, targets)
    start_head(student, targets, 0)
    assert distance(student, targets) < before / 4


def test_it_regresses_pooled_features_on_the_teachers_pooled_states(
    source: Original, targets: Targets
) -> None:
    student = first_layer(source)
    x, y = [], []
    for start, length in zip(targets.starts, targets.lengths, strict=True):
        rows = slice(start, start + length)
        ids = torch.from_numpy(targets.ids[rows].astype(np.int64))[None]
        with torch.inference_mode():
            x.append(student.features(ids, torch.ones(ids.shape))[0].mean(dim=0))
        y.append(torch.from_numpy(targets.states[rows].astype(np.float32)).mean(dim=0))
    weight, bias = ridge(torch.stack(x).double(), torch.stack(y).double())
    start_head(student, targets, 0)
    torch.testing.assert_close(student.head.weight, weight.T.float(), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(student.head.bias, bias.float(), atol=1e-4, rtol=1e-3)


def test_a_teacher_that_pools_by_its_first_token_is_imitated_there(
    source: Original, targets: Targets
) -> None:
    """The first state alone is asked for: what the others are changes nothing."""
    spoilt = targets.states.copy()
    others = np.ones(len(spoilt), bool)
    others[targets.starts] = False
    spoilt[others] = 9
    heads = []
    for states in (targets.states, spoilt):
        again = load_original(replace(source.recipe, pooling="cls"), 80)
        student = first_layer(again)
        start_head(student, replace(targets, states=states), 0)
        heads.append(student.head.weight.detach().clone())
    assert torch.equal(*heads)


def test_a_table_pools_by_the_mean_whatever_its_teacher_does(
    source: Original, targets: Targets
) -> None:
    """Its first token is the same in every text, and so would be every vector."""
    model = keep_layers(source.model, [])
    student = Student(model, replace(source.recipe, pooling="cls"), [])
    start_head(student, targets, 0)
    ids = torch.tensor([[2, 9, 8, 3], [2, 7, 11, 3]])
    with torch.inference_mode():
        one, other = student(ids, torch.ones(ids.shape))[0]
    assert one @ other < 0.999
