"""Masks: how many weights go, which, when, and that they stay away."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="the [train] extra is not installed")

import torch

from lurcher.errors import FieldError
from lurcher.training.compression.sparsity import (
    Pattern,
    Pruner,
    check_sparsity,
    magnitude_mask,
    sparsity_at,
)

SHARES = st.floats(0, 0.999)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


@given(st.integers(1, 20), st.integers(1, 20), SHARES, st.integers(0, 99))
def test_exactly_the_share_asked_is_masked(
    rows: int, columns: int, share: float, seed: int
) -> None:
    mask = magnitude_mask(normal(rows, columns, seed=seed), share, "unstructured")
    assert mask.shape == (rows, columns)
    assert set(mask.unique().tolist()) <= {0.0, 1.0}
    assert int((mask == 0).sum()) == round(share * rows * columns)


@given(st.integers(1, 12), st.integers(1, 8), SHARES, st.integers(0, 99))
def test_blocks_go_whole_along_the_input_dimension(
    rows: int, blocks: int, share: float, seed: int
) -> None:
    mask = magnitude_mask(normal(rows, 4 * blocks, seed=seed), share, "4-block")
    by_block = mask.view(rows, blocks, 4)
    assert torch.equal(by_block.amin(dim=2), by_block.amax(dim=2))
    assert int((by_block[..., 0] == 0).sum()) == round(share * rows * blocks)


@pytest.mark.parametrize("pattern", ["unstructured", "4-block"])
def test_the_smallest_go_by_magnitude(pattern: Pattern) -> None:
    weight = normal(6, 16)
    mask = magnitude_mask(weight, 0.5, pattern)
    size = weight.abs() if pattern == "unstructured" else weight.abs().view(6, 4, 4).sum(dim=2)
    kept = mask.bool() if pattern == "unstructured" else mask.view(6, 4, 4)[..., 0].bool()
    assert size[kept].min() > size[~kept].max()


def test_a_block_goes_by_its_sum_not_by_its_largest() -> None:
    weight = torch.tensor([[3.0, 0, 0, 0, -1, -1, -1, -1]])
    assert magnitude_mask(weight, 0.5, "4-block").tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]]


def test_ties_go_by_place() -> None:
    assert magnitude_mask(torch.ones(2, 4), 0.5, "unstructured").tolist() == [[0] * 4, [1] * 4]
    assert magnitude_mask(torch.zeros(1, 8), 0.5, "4-block").tolist() == [[0] * 4 + [1] * 4]


def test_a_mask_is_made_where_the_weight_is() -> None:
    weight = torch.empty(4, 8, device="meta", dtype=torch.float64)
    mask = magnitude_mask(weight, 0.5, "4-block")
    assert (mask.device, mask.dtype) == (weight.device, weight.dtype)


@pytest.mark.parametrize("columns", [6, 3, 1])
def test_inputs_that_do_not_divide_into_blocks_are_refused_before_any_step(columns: int) -> None:
    with pytest.raises(FieldError, match=f"pattern: {columns} inputs do not divide into blocks"):
        magnitude_mask(torch.ones(4, columns), 0.5, "4-block")
    layers = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Linear(columns, 8))
    with pytest.raises(FieldError, match=f"pattern: {columns} inputs"):
        Pruner(layers, 0.5, "4-block")


@given(SHARES)
def test_the_schedule_begins_at_one_half_and_ends_at_the_final_share(final: float) -> None:
    assert sparsity_at(0, final) == pytest.approx(min(0.5, final))
    assert sparsity_at(1, final) == final
    assert sparsity_at(-1, final) == sparsity_at(0, final)
    assert sparsity_at(2, final) == final


@given(SHARES, st.floats(0, 1), st.floats(0, 1))
def test_the_schedule_never_goes_back(final: float, a: float, b: float) -> None:
    early, late = sorted((a, b))
    assert sparsity_at(early, final) <= sparsity_at(late, final) + 1e-12
    assert min(0.5, final) - 1e-12 <= sparsity_at(early, final) <= final + 1e-12


def test_the_schedule_is_cubic() -> None:
    assert sparsity_at(0.5, 0.9) == pytest.approx(0.9 - 0.4 / 8)


@pytest.mark.parametrize("sparsity", [1.0, -0.01, 90.0, float("nan"), float("inf")])
def test_what_is_no_share_is_refused(sparsity: float) -> None:
    with pytest.raises(FieldError, match=r"sparsity: .* is not at least 0 and below 1"):
        check_sparsity(sparsity)
    with pytest.raises(FieldError, match="sparsity"):
        Pruner(torch.nn.Linear(4, 4), sparsity, "unstructured")


@pytest.fixture
def network() -> Callable[[], torch.nn.Module]:
    def make() -> torch.nn.Module:
        torch.manual_seed(0)
        return torch.nn.Sequential(
            torch.nn.Embedding(10, 8), torch.nn.Linear(8, 16), torch.nn.LayerNorm(16),
            torch.nn.Linear(16, 8),
        )  # fmt: skip

    return make


@pytest.mark.parametrize("pattern", ["unstructured", "4-block"])
def test_masks_hold_while_an_optimiser_pulls(
    network: Callable[[], torch.nn.Module], pattern: Pattern
) -> None:
    model = network()
    pruner = Pruner(model, 0.75, pattern)
    linear = [m for m in model if isinstance(m, torch.nn.Linear)]
    assert set(pruner.masks) == {"1", "3"}
    assert all(mask.all() for mask in pruner.masks.values())
    pruner.tighten(1.0)
    gone = [m.weight == 0 for m in linear]
    assert [g.float().mean().item() for g in gone] == [0.75, 0.75]
    # Momentum goes on pushing weights whose gradient has ended.
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1)
    for step in range(5):
        optimiser.zero_grad()
        (model(torch.arange(10)) - 1).square().sum().backward()
        optimiser.step()
        if step == 0:
            assert any(m.weight[g].any() for m, g in zip(linear, gone, strict=True))
        pruner.apply()
        assert not any(m.weight[g].any() for m, g in zip(linear, gone, strict=True))
    assert all(m.weight[~g].all() for m, g in zip(linear, gone, strict=True))


def test_tightening_keeps_what_was_gone_and_touches_linear_layers_only(
    network: Callable[[], torch.nn.Module],
) -> None:
    model, untouched = network(), network()
    pruner = Pruner(model, 0.9, "unstructured")
    pruner.tighten(0.0)
    early = {name: mask.clone() for name, mask in pruner.masks.items()}
    assert all((mask == 0).float().mean() == 0.5 for mask in early.values())
    pruner.tighten(0.6)
    for name, mask in pruner.masks.items():
        assert (mask <= early[name]).all()
        assert (mask == 0).float().mean() > 0.8
    for name in ("0.weight", "1.bias", "2.weight", "2.bias", "3.bias"):
        assert torch.equal(model.get_parameter(name), untouched.get_parameter(name))
