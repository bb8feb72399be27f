"""Gradual pruning by second order: masks over the linear layers of a transformer, in a few stages.

A half of the weights goes first and more later, with training in between, in which the model learns to do
without what has gone. Which weights go, and what the others become at that moment, is found by second order
(``training.compression.second_order``); between stages masks hold. Every projection and feed-forward matrix
has the same share of zeros; embeddings, norms and biases have none.

Patterns: ``unstructured`` takes single weights; ``4-block`` takes groups of four neighbours along the input
dimension, the four bytes that one VNNI instruction multiplies.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal

import torch

from lurcher.errors import FieldError
from lurcher.training.compression.second_order import input_products, remove_blocks

Pattern = Literal["unstructured", "4-block"]
# How many neighbours in a row go together.
WIDTH: dict[Pattern, int] = {"unstructured": 1, "4-block": 4}
_STAGES = (0.5, 0.7, 0.8, 0.9)  # shares of zeros on the way to a higher one
_PRUNED = 0.4  # the share of a training after which the masks stay as they are
# A layer of a stack, by the name of a part of it.
_LAYER = re.compile(r"(.*?\b\d+)\b")


def check_sparsity(sparsity: float) -> None:
    """Raises FieldError unless ``sparsity`` is a share in [0, 1)."""
    if not 0 <= sparsity < 1:
        raise FieldError("sparsity", f"{sparsity} is not at least 0 and below 1")


def stages(final: float, steps: int) -> dict[int, float]:
    """The share of zeros from each of some steps on, of a training of ``steps``; ``final`` is the last."""
    shares = [share for share in _STAGES if share < final] + [final]
    apart = _PRUNED * steps / max(1, len(shares) - 1)
    return {int(number * apart): share for number, share in enumerate(shares)}


class Pruner:
    """The masks of a model's linear layers, tightened stage by stage and held in between."""

    def __init__(self, layers: Any, sparsity: float, pattern: Pattern) -> None:
        """Prune the linear layers among ``layers`` to ``sparsity``; begins with nothing pruned.

        Raises FieldError for a share outside [0, 1), and where an input dimension does not divide into
        the pattern's blocks.
        """
        check_sparsity(sparsity)
        self.sparsity = sparsity
        self._width = WIDTH[pattern]
        self._layers = {
            name: module
            for name, module in layers.named_modules()
            if isinstance(module, torch.nn.Linear)
        }
        for layer in self._layers.values():
            if (inputs := layer.in_features) % self._width:
                reason = f"{inputs} inputs do not divide into blocks of {self._width}"
                raise FieldError("pattern", reason)
        self.masks = {name: torch.ones_like(it.weight) for name, it in self._layers.items()}

    def tighten(self, share: float, run: Callable[[], None]) -> None:
        """Take weights away until a share of each matrix is zero, the others making up for them.

        ``run`` puts texts through the model, without padding; it is called once for each layer of the
        stack, so that each makes up for what was taken from those before it, too.
        """
        for names in self._by_layer():
            group = {name: self._layers[name] for name in names}
            products = input_products(group, run)
            for name, linear in group.items():
                weight, self.masks[name] = remove_blocks(
                    linear.weight.detach(), self.masks[name], products[name], share, self._width
                )
                with torch.no_grad():
                    linear.weight.copy_(weight)

    def _by_layer(self) -> list[list[str]]:
        groups: dict[str, list[str]] = {}
        for name in self._layers:
            found = _LAYER.match(name)
            groups.setdefault(found[1] if found else name, []).append(name)
        return list(groups.values())

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The masks, for a checkpoint."""
        return self.masks

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Take over the masks of a checkpoint."""
        self.masks = state

    def apply(self) -> None:
        """Set what is masked to zero: after each step, since the optimiser knows no masks."""
        with torch.no_grad():
            for name, layer in self._layers.items():
                layer.weight.mul_(self.masks[name])
