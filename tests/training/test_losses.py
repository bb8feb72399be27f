"""Each loss against NumPy, what it sees and what it is blind to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="the [train] extra is not installed")

import torch

from lurcher.training.alignment.losses import (
    coordinate_kl,
    cosine,
    l2,
    score_alignment,
    token_alignment,
)

Array = npt.NDArray[np.float64]
SEEDS = st.integers(0, 10_000)


def normal(*shape: int, seed: int) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def unit(a: Array) -> Array:
    found: Array = a / np.linalg.norm(a, axis=-1, keepdims=True)
    return found


def softmax(a: Array) -> Array:
    powers = np.exp(a - a.max(axis=-1, keepdims=True))
    found: Array = powers / powers.sum(axis=-1, keepdims=True)
    return found


def value(loss: Callable[..., Any], *arrays: Array) -> float:
    return float(loss(*map(torch.from_numpy, arrays)))


@given(SEEDS)
def test_coordinate_kl_is_kales(seed: int) -> None:
    s, t = normal(2, 5, 16, seed=seed) * 3
    p, q = softmax(t / 10), softmax(s / 10)
    wanted = 100 / 5 * (p * np.log(p / q)).sum()
    assert value(coordinate_kl, s, t) == pytest.approx(wanted, rel=1e-9)


@given(SEEDS)
def test_l2_and_cosine_are_numpys(seed: int) -> None:
    s, t = normal(2, 5, 16, seed=seed)
    wanted = np.mean([np.linalg.norm(a - b) ** 2 for a, b in zip(s, t, strict=True)])
    assert value(l2, s, t) == pytest.approx(wanted)
    wanted = np.mean([1 - a @ b for a, b in zip(unit(s), unit(t), strict=True)])
    assert value(cosine, s, t) == pytest.approx(wanted)


@given(SEEDS)
def test_score_alignment_is_numpys(seed: int) -> None:
    s, t = unit(normal(2, 3, 8, seed=seed))
    passages = unit(normal(3, 6, 8, seed=seed + 1))
    kl = []
    for a, b, own in zip(s, t, passages, strict=True):
        p, q = softmax(own @ b / 0.05), softmax(own @ a / 0.05)
        kl.append((p * np.log(p / q)).sum())
    assert value(score_alignment, s, t, passages) == pytest.approx(np.mean(kl), rel=1e-9)


@given(SEEDS)
def test_token_alignment_is_numpys_over_the_tokens_that_are_there(seed: int) -> None:
    s, t = normal(2, 3, 4, 8, seed=seed)
    lengths = [4, 1, 2]
    mask = (np.arange(4) < np.array(lengths)[:, None]).astype(np.float64)
    wanted = [
        1 - unit(s[row, i]) @ unit(t[row, i]) for row, n in enumerate(lengths) for i in range(n)
    ]
    assert value(token_alignment, s, t, mask) == pytest.approx(np.mean(wanted))


@given(SEEDS, st.floats(-5, 5))
def test_coordinate_kl_is_blind_to_a_shift(seed: int, shift: float) -> None:
    """The published loss's fault: all coordinates moved by the same is no change to it."""
    s, t = unit(normal(2, 4, 16, seed=seed))
    assert value(coordinate_kl, s + shift, t) == pytest.approx(value(coordinate_kl, s, t), abs=1e-9)


def test_the_shift_that_coordinate_kl_does_not_see_turns_rankings_round() -> None:
    t = unit(normal(1, 16, seed=0))
    passages = unit(normal(1, 2, 16, seed=1) + np.array([[[0.2], [-0.2]]]))
    first, second = passages[0] @ t[0]
    shift = 1.5 * (second - first) / (passages[0, 0] - passages[0, 1]).sum()
    shifted = t + shift
    assert np.sign(first - second) == -np.sign(np.subtract(*passages[0] @ shifted[0]))
    assert value(coordinate_kl, shifted, t) == pytest.approx(0, abs=1e-9)
    assert value(score_alignment, shifted, t, passages) > 1e-3
    assert value(l2, shifted, t) > 1e-3


@given(SEEDS)
def test_coordinate_kl_is_about_half_the_mean_centred_squared_error(seed: int) -> None:
    """At T = 10, for unit vectors: the softmax is nearly flat, and KL half the variance."""
    s, t = unit(normal(2, 4, 64, seed=seed))
    wanted = np.mean((t - s).var(axis=1)) / 2
    assert value(coordinate_kl, s, t) == pytest.approx(wanted, rel=0.05)


@given(SEEDS)
def test_l2_is_twice_the_cosine_loss_of_unit_vectors(seed: int) -> None:
    s, t = unit(normal(2, 6, 12, seed=seed))
    assert value(l2, s, t) == pytest.approx(2 * value(cosine, s, t))


def test_the_cosine_loss_is_blind_to_length_and_l2_is_not() -> None:
    s, t = unit(normal(2, 6, 12, seed=0))
    assert value(cosine, 3 * s, t) == pytest.approx(value(cosine, s, t))
    assert value(l2, 3 * s, t) > value(l2, s, t) + 1


@given(SEEDS)
def test_score_alignment_is_zero_where_the_scores_are_the_same_and_only_there(seed: int) -> None:
    t, other = unit(normal(2, 2, 8, seed=seed))
    passages = unit(normal(2, 3, 8, seed=seed + 1))
    # What of ``other`` lies outside the passages' span changes no score.
    outside = np.stack(
        [o - np.linalg.pinv(own) @ (own @ o) for o, own in zip(other, passages, strict=True)]
    )
    assert value(score_alignment, t + outside, t, passages) == pytest.approx(0, abs=1e-9)
    assert value(l2, t + outside, t) > 0.01
    assert value(score_alignment, t + 0.1 * passages[:, 0], t, passages) > 0


@given(SEEDS)
def test_each_is_zero_for_the_teacher_itself_and_never_below(seed: int) -> None:
    s, t = unit(normal(2, 3, 8, seed=seed))
    passages, mask = unit(normal(3, 5, 8, seed=seed + 1)), np.ones((3, 5))
    states, others = normal(2, 3, 5, 8, seed=seed + 2)
    for loss, rest in [(coordinate_kl, ()), (l2, ()), (cosine, ()), (score_alignment, (passages,))]:
        assert value(loss, t, t, *rest) == pytest.approx(0, abs=1e-12)
        assert value(loss, s, t, *rest) > 0
    assert value(token_alignment, states, states, mask) == pytest.approx(0, abs=1e-12)
    assert value(token_alignment, others, states, mask) > 0


def test_token_alignment_gives_padding_neither_a_say_nor_a_gradient() -> None:
    states, goal = (torch.from_numpy(a) for a in normal(2, 2, 4, 8, seed=3))
    mask = torch.tensor([[1.0, 1, 1, 1], [1, 1, 0, 0]])
    spoilt = states.clone()
    spoilt[1, 2:] = 1e6
    assert token_alignment(states, goal, mask) == token_alignment(spoilt, goal, mask)
    states.requires_grad_()
    token_alignment(states, goal, mask).backward()
    assert states.grad is not None
    assert not states.grad[1, 2:].any()
    assert states.grad[1, :2].all()


@given(SEEDS, st.sampled_from([0.0, 1e-6, 1.0, 30.0]), st.booleans())
def test_gradients_are_finite(seed: int, size: float, same: bool) -> None:
    """Also for a student of nothing but zeros, and for one that is its teacher."""
    t = torch.from_numpy(unit(normal(3, 8, seed=seed))).float()
    s = (t if same else size * torch.from_numpy(normal(3, 8, seed=seed + 1)).float()).clone()
    passages = torch.from_numpy(unit(normal(3, 4, 8, seed=seed + 2))).float()
    mask = torch.tensor([[1.0, 0.0]] * 3)
    losses: list[Callable[[Any], Any]] = [
        lambda s: coordinate_kl(s, t),
        lambda s: l2(s, t),
        lambda s: cosine(s, t),
        lambda s: score_alignment(s, t, passages),
        # The targets' padding is zeros.
        lambda s: token_alignment(s[:, None].expand(3, 2, 8), t[:, None] * mask[..., None], mask),
    ]
    for loss in losses:
        s = s.detach().requires_grad_()
        found = loss(s)
        found.backward()
        assert torch.isfinite(found)
        assert s.grad is not None
        assert torch.isfinite(s.grad).all()
