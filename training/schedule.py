"""How long, how fast and how carefully a network is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from lurcher.errors import FieldError

_LEAST = 0.02  # of the learning rate, at the end


@dataclass(frozen=True, slots=True)
class Schedule:
    """Steps, examples a step, learning rate, and how many checks on development data.

    The learning rate rises for ``warmup`` steps, or a fifth of few; ``mean`` is what the mean of the weights
    keeps a step.
    """

    steps: int = 1_000
    batch: int = 16
    learning_rate: float = 1e-3
    warmup: int = 100
    mean: float = 0.998
    checks: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "warmup", "checks"):
            if (value := getattr(self, name)) < 1:
                raise FieldError(name, f"must be at least 1, not {value}")
        if not 0 < self.learning_rate < math.inf:
            reason = f"must be above 0 and finite, not {self.learning_rate}"
            raise FieldError("learning_rate", reason)
        if self.seed < 0:
            raise FieldError("seed", f"must not be below 0, as {self.seed} is")

    @property
    def every(self) -> int:
        """How many steps lie between checks."""
        return max(1, self.steps // self.checks)

    def rate(self, step: int) -> float:
        """The share of the learning rate at ``step``: a linear rise, then a linear fall."""
        warmup = min(self.warmup, max(1, self.steps // 5))
        return min(1.0, (step + 1) / warmup) * max(_LEAST, 1 - step / self.steps)


def adamw(
    model: nn.Module, learning_rate: float, decay: float, *, fused: bool = False
) -> torch.optim.AdamW:
    """AdamW over what of ``model`` is trained, in which only matrices decay."""
    parts = [part for part in model.parameters() if part.requires_grad]
    groups = [
        {"params": [part for part in parts if part.dim() > 1], "weight_decay": decay},
        {"params": [part for part in parts if part.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98), fused=fused)
