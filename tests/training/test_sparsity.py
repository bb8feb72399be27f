"""Masks: how many weights go, which, when, and that they stay away."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="the [train] extra is not installed")

import torch

from lurcher.errors import FieldError
from lurcher.training.compression.sparsity import Pattern, Pruner, check_sparsity, stages

SHARES = st.floats(0, 0.999)


@pytest.mark.parametrize("columns", [6, 3, 1])
def test_inputs_that_do_not_divide_into_blocks_are_refused_before_any_step(columns: int) -> None:
    layers = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Linear(columns, 8))
    with pytest.raises(FieldError, match=f"pattern: {columns} inputs do not divide into blocks"):
        Pruner(layers, 0.5, "4-block")
    Pruner(layers, 0.5, "unstructured")


@given(SHARES, st.integers(1, 10_000))
def test_stages_begin_at_once_rise_to_the_final_share_and_leave_time_at_it(
    final: float, steps: int
) -> None:
    found = stages(final, steps)
    at, shares = list(found), list(found.values())
    assert at[0] == 0
    assert at == sorted(at)
    assert shares == sorted(set(shares))
    assert shares[-1] == final
    assert at[-1] <= 0.4 * steps


@pytest.mark.parametrize(
    ("final", "steps", "found"),
    [
        (0.8, 100, {0: 0.5, 20: 0.7, 40: 0.8}),
        (0.75, 100, {0: 0.5, 20: 0.7, 40: 0.75}),
        (0.95, 100, {0: 0.5, 10: 0.7, 20: 0.8, 30: 0.9, 40: 0.95}),
        (0.5, 100, {0: 0.5}),
        (0.3, 100, {0: 0.3}),
        (0.8, 1, {0: 0.8}),
        (0.8, 5, {0: 0.5, 1: 0.7, 2: 0.8}),
        (0.8, 3, {0: 0.7, 1: 0.8}),
    ],
)
def test_stages_of_a_training(final: float, steps: int, found: dict[int, float]) -> None:
    assert stages(final, steps) == found


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


def reading(model: torch.nn.Module) -> Callable[[], None]:
    """What puts every token through ``model``."""
    return lambda: model(torch.arange(10))


@pytest.mark.parametrize("pattern", ["unstructured", "4-block"])
def test_masks_hold_while_an_optimiser_pulls(
    network: Callable[[], torch.nn.Module], pattern: Pattern
) -> None:
    model = network()
    pruner = Pruner(model, 0.75, pattern)
    linear = [m for m in model if isinstance(m, torch.nn.Linear)]
    assert set(pruner.masks) == {"1", "3"}
    assert all(mask.all() for mask in pruner.masks.values())
    pruner.tighten(0.75, reading(model))
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
    pruner.tighten(0.5, reading(model))
    early = {name: mask.clone() for name, mask in pruner.masks.items()}
    assert all((mask == 0).float().mean() == 0.5 for mask in early.values())
    pruner.tighten(0.875, reading(model))
    for name, mask in pruner.masks.items():
        assert (mask <= early[name]).all()
        assert (mask == 0).float().mean() == 0.875
    for name in ("0.weight", "1.bias", "2.weight", "2.bias", "3.bias"):
        assert torch.equal(model.get_parameter(name), untouched.get_parameter(name))


class Stack(torch.nn.Module):
    """Two layers of two products each."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        pairs = [torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)) for _ in "ab"]
        self.layer = torch.nn.ModuleList(pairs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layer:
            x = layer(x).tanh()
        return x


def test_each_layer_makes_up_for_what_those_before_it_have_lost() -> None:
    stack, x = Stack(), torch.randn(200, 8, generator=torch.Generator().manual_seed(1))
    runs = 0

    def run() -> None:
        nonlocal runs
        runs += 1
        # The first layer has been pruned when the second is looked at.
        first_is_sparse = bool((stack.layer[0][1].weight == 0).any())
        assert first_is_sparse == (runs == 2)
        stack(x)

    Pruner(stack, 0.5, "4-block").tighten(0.5, run)
    assert runs == 2
