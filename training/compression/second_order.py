"""Which weights of a linear layer go, and what the others become, so that its outputs change least.

For a row w of a layer's weights and inputs X (d, n) the change of its output is, with H = X X',

    |w X - w' X|^2 = (w - w') H (w - w')'

Taking block B away, while the others make up for it as well as they can, adds

    w_B [(H^-1)_BB]^-1 w_B'

(Hassibi and Stork 1993, "Optimal Brain Surgeon", for single weights; Frantar and Alistarh 2022, "Optimal
Brain Compression", eq. 3 and 7, for blocks), H being of what the row has left. Departures: a share of all
blocks goes at once, the costs compared over the whole matrix, not one block after the other; and what stays
becomes the least-squares solution of each row instead of a sum of single updates::

    w'_S = w H_:S (H_SS)^-1          S: the places where the row has weights left

H is damped, so that weights do not grow in directions that hardly occur in X.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

_DAMPING = 0.01  # of the mean of H's diagonal, as in SparseGPT (Frantar and Alistarh 2023)
_LEAST = 1e-9  # where no input ever was anything but zero


def input_products(
    layers: Mapping[str, torch.nn.Linear], run: Callable[[], None]
) -> dict[str, torch.Tensor]:
    """X X' (d, d) float32 of each layer, X (d, n) being all the inputs that ``run`` gives it."""
    found = {
        name: torch.zeros(layer.in_features, layer.in_features, device=layer.weight.device)
        for name, layer in layers.items()
    }

    def watch(name: str) -> Callable[[torch.nn.Module, tuple[torch.Tensor, ...]], None]:
        def add(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            rows = inputs[0].flatten(0, -2).float()  # (n, d)
            found[name].addmm_(rows.T, rows)

        return add

    hooks = [layer.register_forward_pre_hook(watch(name)) for name, layer in layers.items()]
    try:
        with torch.no_grad():
            run()
    finally:
        for hook in hooks:
            hook.remove()
    return found


def damped(products: torch.Tensor) -> torch.Tensor:
    """``products`` (d, d) with a little added to the diagonal, so that it can be inverted."""
    diagonal = products.diagonal()
    return products + torch.diag_embed(
        (_DAMPING * diagonal.mean()).clamp_min(_LEAST).expand_as(diagonal)
    )


def remove_blocks(
    weight: torch.Tensor, mask: torch.Tensor, products: torch.Tensor, sparsity: float, width: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The weights (out, in) and their mask after blocks went, until a share ``sparsity`` is zero.

    ``mask`` (out, in) is 1 where there are weights left so far; blocks of ``width`` neighbours in a row are
    in it whole or not at all. ``products`` (in, in) is X X' of the layer's inputs. Nothing that went comes
    back.
    """
    h = damped(products)
    costs = _costs(weight, mask, h, width)  # (out, in / width)
    gone = costs.flatten().argsort(stable=True)[: round(sparsity * costs.numel())]
    left = mask.reshape(*costs.shape, width)[..., 0].clone()
    left.view(-1)[gone] = 0
    new_mask = left.repeat_interleave(width, dim=1)
    return _refit(weight, new_mask, h), new_mask


def _costs(weight: torch.Tensor, mask: torch.Tensor, h: torch.Tensor, width: int) -> torch.Tensor:
    """What each block's removal adds to the error, (out, in / width); below 0 for what is gone already."""
    rows, columns = weight.shape
    costs = weight.new_full((rows, columns // width), -1.0)
    if mask.all():  # then all rows share one inverse
        blocks = _diagonal_blocks(_inverse(h), width)
        parts = weight.reshape(rows, -1, width)
        solved = torch.linalg.solve(
            blocks, parts.transpose(0, 1).transpose(1, 2)
        )  # (blocks, width, rows)
        return (parts * solved.permute(2, 0, 1)).sum(dim=-1)
    for row in range(rows):
        places = mask[row].nonzero()[:, 0]
        blocks = _diagonal_blocks(_inverse(h[places][:, places]), width)
        parts = weight[row, places].view(-1, width)
        solved = torch.linalg.solve(blocks, parts[..., None])[..., 0]
        costs[row, places[::width] // width] = (parts * solved).sum(dim=-1)
    return costs


def _refit(weight: torch.Tensor, mask: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """The weights under ``mask`` whose outputs are nearest to those of ``weight``."""
    refitted = torch.zeros_like(weight)
    goals = weight @ h  # (out, in)
    for row in range(len(weight)):
        places = mask[row].nonzero()[:, 0]
        if len(places):
            root = torch.linalg.cholesky(h[places][:, places])
            found = torch.cholesky_solve(goals[row, places, None], root)
            refitted[row, places] = found[:, 0]
    return refitted


def _inverse(h: torch.Tensor) -> torch.Tensor:
    return torch.cholesky_inverse(torch.linalg.cholesky(h))


def _diagonal_blocks(matrix: torch.Tensor, width: int) -> torch.Tensor:
    """The blocks (d / width, width, width) along the diagonal of ``matrix`` (d, d)."""
    count = len(matrix) // width
    return matrix.view(count, width, count, width).diagonal(dim1=0, dim2=2).permute(2, 0, 1)
