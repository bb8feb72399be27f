"""What goes by second order: which blocks, that the others make up for them, and at what cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="the [train] extra is not installed")

import torch

from lurcher.training.compression.second_order import damped, input_products, remove_blocks


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


def correlated(inputs: int, seed: int = 0) -> torch.Tensor:
    """Inputs (300, d) of a layer, that say much of each other, as hidden states do."""
    common = normal(300, inputs // 2, seed=seed) @ normal(inputs // 2, inputs, seed=seed + 1)
    return common + 0.3 * normal(300, inputs, seed=seed + 2)


def error(x: torch.Tensor, weight: torch.Tensor, pruned: torch.Tensor) -> float:
    return float((x @ (weight - pruned).T).square().sum())


def by_magnitude(weight: torch.Tensor, sparsity: float, width: int) -> torch.Tensor:
    size = weight.view(len(weight), -1, width).abs().sum(dim=2)
    kept = torch.ones(size.numel())
    kept[size.flatten().argsort()[: round(sparsity * size.numel())]] = 0
    return weight * kept.view_as(size).repeat_interleave(width, dim=1)


@given(
    st.integers(1, 9), st.integers(1, 6), st.sampled_from([1, 4]), st.floats(0, 0.99),
    st.floats(0, 0.99), st.integers(0, 99),
)  # fmt: skip
def test_whole_blocks_go_exactly_as_many_as_asked_and_none_comes_back(
    rows: int, blocks: int, width: int, some: float, more: float, seed: int
) -> None:
    some, more = sorted((some, more))
    weight, x = normal(rows, blocks * width, seed=seed), normal(50, blocks * width, seed=seed + 1)
    mask, before = torch.ones_like(weight), 0
    for share in (some, more):
        weight, new = remove_blocks(weight, mask, x.T @ x, share, width)
        assert set(new.unique().tolist()) <= {0.0, 1.0}
        assert (new <= mask).all()
        by_block = new.view(rows, blocks, width)
        assert torch.equal(by_block.amin(dim=2), by_block.amax(dim=2))
        gone = int((by_block[..., 0] == 0).sum())
        assert gone == round(share * rows * blocks) >= before
        assert not weight[new == 0].any()
        mask, before = new, gone
    assert weight.isfinite().all()


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("sparsity", [0.5, 0.8])
def test_outputs_change_far_less_than_by_magnitude(width: int, sparsity: float) -> None:
    weight, x = normal(24, 32), correlated(32)
    pruned, mask = remove_blocks(weight, torch.ones_like(weight), x.T @ x, sparsity, width)
    found = error(x, weight, pruned)
    assert found < 0.7 * error(x, weight, by_magnitude(weight, sparsity, width))
    # Both parts of it help: the same places without new weights, and new weights in other places.
    assert found < 0.7 * error(x, weight, weight * mask)


def test_the_block_that_costs_least_goes_first() -> None:
    weight, x = normal(1, 12, seed=3), correlated(12, seed=4)
    h = damped(x.T @ x)

    def cost(block: int) -> float:
        """How much the error grows at least, all other weights being free."""
        left = [i for i in range(12) if i // 4 != block]
        best = torch.linalg.solve(h[left][:, left], h[left] @ weight[0])
        change = weight[0].clone()
        change[left] -= best
        return float(change @ h @ change)

    pruned, mask = remove_blocks(weight, torch.ones_like(weight), x.T @ x, 1 / 3, 4)
    costs = [cost(block) for block in range(3)]
    gone = [block for block in range(3) if not mask[0, 4 * block]]
    assert gone == [int(np.argmin(costs))]
    change = (weight - pruned)[0]
    assert float(change @ h @ change) == pytest.approx(min(costs), rel=1e-3)


def test_costs_are_of_what_a_row_has_left() -> None:
    # The first and the second block say the same: either can go, but not both.
    half = normal(200, 4)
    x = torch.cat([half, half + 0.01 * normal(200, 4, seed=1), normal(200, 4, seed=2)], dim=1)
    weight = torch.cat([torch.ones(1, 8), 0.5 * torch.ones(1, 4)], dim=1)
    once, mask = remove_blocks(weight, torch.ones_like(weight), x.T @ x, 1 / 3, 4)
    assert mask[0, ::4].tolist() in ([0, 1, 1], [1, 0, 1])
    _, mask = remove_blocks(once, mask, x.T @ x, 2 / 3, 4)
    assert mask[0, 8] == 0


@pytest.mark.parametrize("products", [torch.zeros(8, 8), torch.ones(8, 8)])
def test_inputs_that_say_nothing_leave_weights_finite(products: torch.Tensor) -> None:
    weight, _ = remove_blocks(normal(3, 8), torch.ones(3, 8), products, 0.5, 4)
    assert weight.isfinite().all()


def test_products_are_of_all_inputs_of_each_layer() -> None:
    torch.manual_seed(0)
    first, second = torch.nn.Linear(8, 4), torch.nn.Linear(4, 4)
    batches = [normal(2, 5, 8), normal(3, 1, 8, seed=1)]

    def run() -> None:
        for batch in batches:
            second(first(batch))

    found = input_products({"first": first, "second": second}, run)
    x = torch.cat([batch.flatten(0, 1) for batch in batches])
    torch.testing.assert_close(found["first"], x.T @ x)
    y = first(x).detach()
    torch.testing.assert_close(found["second"], y.T @ y)
    run()  # nothing watches any more
    torch.testing.assert_close(found["first"], x.T @ x)
