"""The training loop: steps, mean weights, checkpoints, the curve, and the best weights by their quality.

What is trained gives the loss of a step and the quality of the weights; the loop does the rest. All that a
step draws at random has to depend on its number and the seed alone: then a run that was killed and started
again ends with the same weights as one that was not.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from lurcher.errors import ModelError
from lurcher.training import checkpoint

Quality = dict[str, float]
Weights = dict[str, Tensor]


class Stateful(Protocol):
    """What a checkpoint holds beside weights and optimiser."""

    def state_dict(self) -> dict[str, Any]:
        """What ``load_state_dict`` takes."""

    def load_state_dict(self, state: dict[str, Any]) -> object:
        """Go on from ``state``."""


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the curve: the mean loss since the last, and development quality where it was measured."""

    step: int
    loss: float | None
    quality: Quality | None

    def line(self, steps: int) -> str:
        """It in words, for whoever waits for all ``steps``."""
        parts = [] if self.loss is None else [f"loss {self.loss:.4f}"]
        parts += [f"{measure} {value:.4f}" for measure, value in (self.quality or {}).items()]
        return f"step {self.step:,} of {steps:,}: {', '.join(parts)}"


def best_of(curve: Sequence[Point], measure: str) -> Point:
    """The point whose weights a training keeps, by that measure."""
    measured = [(point.quality[measure], point) for point in curve if point.quality is not None]
    return max(measured, key=lambda pair: pair[0])[1]


@dataclass
class Loop:
    """The training of ``model`` for ``steps``, checked and saved ``every`` so many, and at the end.

    Weights are chosen by ``measure``. ``rate`` gives the share of the optimiser's learning rates at a step,
    counted from 0. With ``mean`` the mean of the weights is what is measured and kept: it keeps that share of
    itself a step. Gradients are clipped to the norm ``clip``.
    """

    file: Path  # of the checkpoint, which is written at each check
    model: nn.Module
    optimiser: torch.optim.Optimizer
    steps: int
    every: int
    measure: str
    rate: Callable[[int], float]
    seed: int = 0
    mean: float | None = None
    clip: float = 1.0
    report: Callable[[Point], None] = lambda _: None
    report_every: int = 50  # steps
    extra: Mapping[str, Stateful] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.step = 0
        self.best = -math.inf
        self.curve: list[Point] = []
        self._measured = self.model if self.mean is None else copy.deepcopy(self.model).eval()
        self._best_weights = trained_weights(self.model)
        self._rates = [group["lr"] for group in self.optimiser.param_groups]
        self._losses: list[float] = []

    def run(
        self, loss: Callable[[int], Tensor], check: Callable[[nn.Module], Quality] | None = None, *,
        untrained: Callable[[], Quality] | None = None,
        after_step: Callable[[], None] = lambda: None,
        counts: Callable[[int], bool] = lambda _: True,
    ) -> list[Point]:  # fmt: skip
        """The curve; the model is left with the best weights. Goes on from a checkpoint, if there is one.

        ``loss`` is that of a step, counted from 0; ``check`` measures the weights so far; without it the last
        are the best. ``untrained`` measures those before the first step, which are kept if none are better.
        ``after_step`` may change weights that the optimiser has changed; a check after a number of steps for
        which ``counts`` is false chooses no weights. Raises ModelError if the loss is no longer finite,
        OSError if a checkpoint cannot be written.
        """
        if not self._restore() and untrained is not None:
            self._note(untrained())
        while self.step < self.steps:
            self._go(loss, after_step)
            if self.step % self.every == 0 or self.step == self.steps:
                self._note(check(self._measured) if check else None, counts(self.step))
                self._save()
            elif len(self._losses) == self.report_every:
                self._note(None)
        best = self._best_weights if check else trained_weights(self._measured)
        self.model.load_state_dict(best, strict=False)
        self.model.eval()
        return self.curve

    def _go(self, loss: Callable[[int], Tensor], after_step: Callable[[], None]) -> None:
        """One step."""
        for group, rate in zip(self.optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * self.rate(self.step)
        # Of dropout; by the step, so that a run that goes on draws what one in one go would.
        torch.manual_seed(self.seed * 1_000_003 + self.step)
        found = loss(self.step)
        self.optimiser.zero_grad(set_to_none=True)
        found.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimiser.step()
        after_step()
        self.step += 1
        if self.mean is not None:
            # A mean of few steps would be mostly of where they began.
            kept = min(self.mean, self.step / (self.step + 9))
            ours, new = self._measured.parameters(), self.model.parameters()
            with torch.no_grad():
                for mean, part in zip(ours, new, strict=True):
                    if part.requires_grad:
                        mean.lerp_(part, 1 - kept)
        self._losses.append(float(found.item()))
        if not math.isfinite(self._losses[-1]):
            reason = "training diverged; a lower learning rate may hold"
            raise ModelError(f"step {self.step}: the loss is {self._losses[-1]}: {reason}")

    def _note(self, quality: Quality | None, counts: bool = True) -> None:
        """Add a point to the curve; keep the measured weights if they are the best that count."""
        loss = float(np.mean(self._losses)) if self._losses else None
        self._losses = []
        self.curve.append(Point(self.step, loss, quality))
        if quality is not None and counts and quality[self.measure] > self.best:
            self.best = quality[self.measure]
            self._best_weights = trained_weights(self._measured)
        self.report(self.curve[-1])

    def _save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        content = {
            "step": self.step,
            "best": self.best,
            "best_weights": self._best_weights,
            "weights": trained_weights(self.model),
            "measured": trained_weights(self._measured),
            "optimiser": self.optimiser.state_dict(),
            "extra": {name: part.state_dict() for name, part in self.extra.items()},
            "curve": [asdict(point) for point in self.curve],
        }
        checkpoint.write(self.file, content)

    def _restore(self) -> bool:
        """Go on from the checkpoint; whether there is one."""
        if not self.file.exists():
            return False
        device = next(self.model.parameters()).device
        saved = torch.load(self.file, map_location=device, weights_only=True)
        self.step, self.best = saved["step"], saved["best"]
        self._best_weights = saved["best_weights"]
        self._measured.load_state_dict(saved["measured"], strict=False)
        self.model.load_state_dict(saved["weights"], strict=False)
        self.optimiser.load_state_dict(saved["optimiser"])
        for name, part in self.extra.items():
            part.load_state_dict(saved["extra"][name])
        self.curve = [Point(**point) for point in saved["curve"]]
        return True


def trained_weights(model: nn.Module) -> Weights:
    """A copy of what of ``model`` is trained, by name."""
    named = model.named_parameters()
    return {name: part.detach().clone() for name, part in named if part.requires_grad}
