"""The loop that all trainings share: batches, checkpoints, and which weights are kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="the [train] extra is not installed")

import torch

from lurcher.errors import ModelError
from lurcher.training.epochs import Epochs, shuffled
from lurcher.training.loop import Loop, Point, best_of
from lurcher.training.schedule import adamw
from tests.killed import KilledError


@given(count=st.integers(1, 300), size=st.integers(1, 8), seed=st.integers(0, 3))
def test_an_epoch_shows_each_place_once(count: int, size: int, seed: int) -> None:
    lengths = np.random.default_rng(count).integers(4, 90, count)
    batches = shuffled(lengths, size, np.random.default_rng(seed))
    assert sorted(int(place) for batch in batches for place in batch) == list(range(count))
    if count >= size:
        assert all(size <= len(batch) < 2 * size for batch in batches)
    again = shuffled(lengths, size, np.random.default_rng(seed))
    assert [list(batch) for batch in again] == [list(batch) for batch in batches]


def test_a_batch_is_of_like_lengths() -> None:
    lengths = np.random.default_rng(0).integers(4, 90, 512)
    batches = [lengths[batch] for batch in shuffled(lengths, 8, np.random.default_rng(0))]
    assert np.mean([np.ptp(batch) for batch in batches]) < 5
    firsts = [int(batch[0]) for batch in batches]
    assert firsts != sorted(firsts)


def test_a_point_says_what_it_knows() -> None:
    assert (
        Point(0, None, {"F1": 0.25, "EM": 0.125}).line(4_000)
        == "step 0 of 4,000: F1 0.2500, EM 0.1250"
    )
    assert Point(50, 1.5, None).line(100) == "step 50 of 100: loss 1.5000"


def test_a_steps_batch_depends_on_its_number_alone() -> None:
    lengths = np.arange(23)
    in_order = [Epochs(lengths, 4, 0).at(step).tolist() for step in range(12)]
    one = Epochs(lengths, 4, 0)
    assert one.steps == 5
    assert [one.at(step).tolist() for step in (11, 0, 7)] == [in_order[s] for s in (11, 0, 7)]
    assert sorted(place for batch in in_order[5:10] for place in batch) == list(range(23))
    assert in_order[:5] != in_order[5:10]


def make_loop(folder: Path, **options: Any) -> tuple[Loop, Callable[[int], torch.Tensor]]:
    """A loop over a linear map with dropout, and its loss."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Dropout(0.5))
    model[0].bias.requires_grad_(False)
    options = {"steps": 10, "every": 3, "measure": "M", "rate": lambda _: 1.0} | options
    loop = Loop(folder / "checkpoint.pt", model, adamw(model, 0.1, 0.0), **options)

    def loss(step: int) -> torch.Tensor:
        model.train()
        return (model(torch.ones(2, 3)) - step).square().mean()

    return loop, loss


def found_by(*values: float) -> Callable[[torch.nn.Module], dict[str, float]]:
    """A check that finds these values in turn."""
    left = iter(values)
    return lambda _: {"M": next(left)}


def test_checks_are_evenly_spaced_and_reports_come_between(tmp_path: Path) -> None:
    points: list[Point] = []
    loop, loss = make_loop(tmp_path, report=points.append, report_every=2)
    curve = loop.run(loss, found_by(1, 2, 3, 4), untrained=lambda: {"M": 0.5})
    assert curve == points
    assert [(p.step, p.quality and p.quality["M"]) for p in curve] == [
        (0, 0.5), (2, None), (3, 1), (5, None), (6, 2), (8, None), (9, 3), (10, 4),
    ]  # fmt: skip
    assert best_of(curve, "M").step == 10


@pytest.mark.parametrize("mean", [None, 0.5])
def test_the_weights_of_the_best_check_are_left(tmp_path: Path, mean: float | None) -> None:
    seen = []

    def check(measured: torch.nn.Module) -> dict[str, float]:
        seen.append(measured[0].weight.detach().clone())
        return {"M": (0.2, 0.9, 0.3, 0.8)[len(seen) - 1]}

    loop, loss = make_loop(tmp_path, mean=mean)
    loop.run(loss, check)
    assert loop.best == 0.9
    assert torch.equal(loop.model[0].weight, seen[1])
    assert not torch.equal(seen[1], seen[3])


def test_a_check_that_does_not_count_chooses_nothing(tmp_path: Path) -> None:
    loop, loss = make_loop(tmp_path)
    loop.run(loss, found_by(0.9, 0.2, 0.8, 0.3), counts=lambda step: step > 3)
    assert loop.best == 0.8


def test_untrained_weights_stay_if_none_are_better(tmp_path: Path) -> None:
    loop, loss = make_loop(tmp_path)
    before = loop.model[0].weight.detach().clone()
    loop.run(loss, found_by(1, 2, 1, 2), untrained=lambda: {"M": 2.0})
    assert torch.equal(loop.model[0].weight, before)


@pytest.mark.parametrize("mean", [None, 0.9])
@pytest.mark.parametrize("at", [2, 3, 7])
def test_a_killed_run_ends_as_one_that_was_not(tmp_path: Path, at: int, mean: float | None) -> None:
    def check(measured: torch.nn.Module) -> dict[str, float]:
        return {"M": float(measured[0].weight.detach().sin().sum())}

    (tmp_path / "whole").mkdir()
    whole, loss = make_loop(tmp_path / "whole", mean=mean)
    curve = whole.run(loss, check)

    def kill() -> None:
        if killed.step == at:
            raise KilledError

    killed, loss = make_loop(tmp_path, mean=mean)
    with pytest.raises(KilledError):
        killed.run(loss, check, after_step=kill)
    again, loss = make_loop(tmp_path, mean=mean)
    assert again.run(loss, check) == curve
    assert torch.equal(again.model[0].weight, whole.model[0].weight)


def test_what_is_not_trained_is_not_in_the_checkpoint(tmp_path: Path) -> None:
    loop, loss = make_loop(tmp_path)
    loop.run(loss, found_by(1, 2, 3, 4))
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert list(saved["weights"]) == list(saved["best_weights"]) == ["0.weight"]


def test_a_loss_that_is_not_finite_ends_it(tmp_path: Path) -> None:
    loop, _ = make_loop(tmp_path)
    with pytest.raises(ModelError, match=r"step 1: the loss is nan: training diverged; a lower"):
        loop.run(lambda _: loop.model[0].weight.sum() * math.nan, found_by())
    assert not (tmp_path / "checkpoint.pt").exists()
