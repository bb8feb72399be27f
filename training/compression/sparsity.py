"""Gradual magnitude pruning: masks over the linear layers of a transformer.

Sparsity follows the cubic schedule of Zhu and Gupta (2017, "To prune, or not to prune", eq. 1),
from one half, as oBERT's recipes begin (Kurtic et al. 2022). Every projection and feed-forward
matrix has the same share of zeros; embeddings, norms and biases have none.

Patterns: ``unstructured`` ranks single weights; ``4-block`` ranks groups of four neighbours along
the input dimension by their L1 norm, the four bytes that one VNNI instruction multiplies.
"""

from __future__ import annotations

from typing import Any, Literal

import torch

from lurcher.errors import FieldError

Pattern = Literal["unstructured", "4-block"]
_WIDTH: dict[Pattern, int] = {"unstructured": 1, "4-block": 4}
_INITIAL = 0.5


def check_sparsity(sparsity: float) -> None:
    """Raises FieldError unless ``sparsity`` is a share in [0, 1)."""
    if not 0 <= sparsity < 1:
        raise FieldError("sparsity", f"{sparsity} is not at least 0 and below 1")


def sparsity_at(progress: float, final: float) -> float:
    """The share of zeros after ``progress`` (0 to 1) of the pruning, Zhu and Gupta's eq. 1."""
    start = min(_INITIAL, final)
    return final + (start - final) * (1 - min(1.0, max(0.0, progress))) ** 3


def magnitude_mask(weight: torch.Tensor, sparsity: float, pattern: Pattern) -> torch.Tensor:
    """1 where ``weight`` (out, in) stays, 0 where it goes; exactly the share asked, ties by place.

    Raises FieldError where the input dimension does not divide into the pattern's blocks.
    """
    rows, columns = weight.shape
    width = _block_width(columns, pattern)
    size = weight.detach().abs().view(rows, columns // width, width).sum(dim=2)
    mask = torch.ones(size.numel(), dtype=weight.dtype, device=weight.device)
    mask[size.flatten().argsort(stable=True)[: round(sparsity * size.numel())]] = 0
    return mask.view(rows, columns // width, 1).expand(-1, -1, width).reshape(rows, columns)


def _block_width(columns: int, pattern: Pattern) -> int:
    width = _WIDTH[pattern]
    if columns % width:
        raise FieldError("pattern", f"{columns} inputs do not divide into blocks of {width}")
    return width


class Pruner:
    """The masks of a model's linear layers, tightened step by step and held in between."""

    def __init__(self, layers: Any, sparsity: float, pattern: Pattern) -> None:
        """Prune the linear layers among ``layers`` to ``sparsity``; begins with nothing pruned.

        Raises FieldError where ``magnitude_mask`` would.
        """
        check_sparsity(sparsity)
        self._final = sparsity
        self._pattern: Pattern = pattern
        self._weights = {
            name: module.weight
            for name, module in layers.named_modules()
            if isinstance(module, torch.nn.Linear)
        }
        for weight in self._weights.values():
            _block_width(weight.shape[1], pattern)
        self.masks = {name: torch.ones_like(weight) for name, weight in self._weights.items()}

    def tighten(self, progress: float) -> None:
        """Choose the masks anew for ``progress`` (0 to 1) of the schedule, and apply them."""
        share = sparsity_at(progress, self._final)
        for name, weight in self._weights.items():
            self.masks[name] = magnitude_mask(weight, share, self._pattern)
        self.apply()

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The masks, for a checkpoint."""
        return self.masks

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Take over the masks of a checkpoint."""
        self.masks = state

    def apply(self) -> None:
        """Set what is masked to zero: after each step, since the optimiser knows no masks."""
        with torch.no_grad():
            for name, weight in self._weights.items():
                weight.mul_(self.masks[name])
