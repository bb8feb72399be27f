"""A training on its way: steps, mean weights, checkpoints, its curve, and the best weights by development."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lurcher.bundle.passages import Rows
from lurcher.models.errors import FieldError, ModelError
from lurcher.training import checkpoint

_LEAST = 0.02  # of the learning rate, at the end
_REPORT_EVERY = 50  # steps
_POOL = 32  # batches that are sorted together

Weights = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long, how fast, and how often to look.

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


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the curve: the mean loss since the last, and development quality where it was measured."""

    step: int
    loss: float | None
    quality: dict[str, float] | None

    def line(self, steps: int) -> str:
        """It in words, for whoever waits for all ``steps``."""
        parts = [] if self.loss is None else [f"loss {self.loss:.4f}"]
        parts += [f"{measure} {value:.4f}" for measure, value in (self.quality or {}).items()]
        return f"step {self.step:,} of {steps:,}: {', '.join(parts)}"


def best_of(curve: Sequence[Point], measure: str) -> Point:
    """The point whose weights a training keeps, by that measure."""
    measured = [(point.quality[measure], point) for point in curve if point.quality is not None]
    return max(measured, key=lambda pair: pair[0])[1]


class Run:
    """How far the training of a model is, and its checkpoint on disk."""

    def __init__(
        self, file: Path, model: nn.Module, schedule: Schedule, measure: str, decay: float,
        report: Callable[[Point], None],
    ) -> None:  # fmt: skip
        """``decay`` is of matrices; ``report`` hears of each point of the curve."""
        self._file, self._model, self._schedule = file, model, schedule
        self._measure, self._report = measure, report
        parts = list(model.parameters())
        groups = [
            {"params": [part for part in parts if part.dim() > 1], "weight_decay": decay},
            {"params": [part for part in parts if part.dim() <= 1], "weight_decay": 0.0},
        ]
        self._optimiser = torch.optim.AdamW(groups, lr=schedule.learning_rate, betas=(0.9, 0.98))
        self.step = 0
        self.mean = copy.deepcopy(model).eval()
        self.best, self.best_weights = -math.inf, _weights(model)
        self.curve: list[Point] = []
        self._losses: list[float] = []

    def through(
        self, lengths: Rows, loss: Callable[[Rows], Tensor], quality: Callable[[], dict[str, float]]
    ) -> None:
        """Train to the end, and leave the model with the best weights.

        ``lengths`` (n,) are of what is trained on, ``loss`` is that of a batch of places among them, and
        ``quality`` is measured of the mean weights. Raises ModelError where the loss is no longer finite,
        OSError where a checkpoint cannot be written.
        """
        schedule = self._schedule
        every = max(1, schedule.steps // schedule.checks)
        a_epoch = max(1, len(lengths) // schedule.batch)
        batches: list[Rows] = []
        while self.step < schedule.steps:
            if not batches:
                epoch = np.random.default_rng((schedule.seed, self.step // a_epoch))
                batches = shuffled(lengths, schedule.batch, epoch)[self.step % a_epoch :]
            self._go(loss, batches.pop(0))
            if self.step % every == 0 or self.step == schedule.steps:
                self.note(quality())
                self._save()
            elif len(self._losses) == _REPORT_EVERY:
                self.note(None)
        self._model.load_state_dict(self.best_weights)
        self._model.eval()

    def _go(self, loss: Callable[[Rows], Tensor], batch: Rows) -> None:
        """One step."""
        for group in self._optimiser.param_groups:
            group["lr"] = self._schedule.learning_rate * _rate(self.step, self._schedule)
        # Seeded by the step, so that a run that goes on draws what one in one go would.
        torch.manual_seed(self._schedule.seed * 1_000_003 + self.step)
        self._model.train()
        found = loss(batch)
        self._optimiser.zero_grad(set_to_none=True)
        found.backward()
        nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimiser.step()
        self.step += 1
        # A mean of few steps would be mostly of where they began.
        kept = min(self._schedule.mean, self.step / (self.step + 9))
        with torch.no_grad():
            for ours, new in zip(self.mean.parameters(), self._model.parameters(), strict=True):
                ours.lerp_(new, 1 - kept)
        self._losses.append(float(found.item()))
        if not math.isfinite(self._losses[-1]):
            reason = "training diverged; a lower learning rate may hold"
            raise ModelError(f"step {self.step}: the loss is {self._losses[-1]}: {reason}")

    def note(self, quality: dict[str, float] | None) -> None:
        """Add a point to the curve; keep the mean weights if they are the best so far."""
        loss = float(np.mean(self._losses)) if self._losses else None
        self._losses = []
        self.curve.append(Point(self.step, loss, quality))
        if quality is not None and quality[self._measure] > self.best:
            self.best, self.best_weights = quality[self._measure], _weights(self.mean)
        self._report(self.curve[-1])

    def _save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        content = {
            "step": self.step,
            "best": self.best,
            "best_weights": self.best_weights,
            "model": self._model.state_dict(),
            "mean": self.mean.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "curve": [asdict(point) for point in self.curve],
        }
        checkpoint.write(self._file, content)

    def restore(self) -> bool:
        """Go on from the checkpoint; whether there is one."""
        if not self._file.exists():
            return False
        device = next(self._model.parameters()).device
        saved = torch.load(self._file, map_location=device, weights_only=True)
        self.step, self.best = saved["step"], saved["best"]
        self.best_weights = saved["best_weights"]
        self._model.load_state_dict(saved["model"])
        self.mean.load_state_dict(saved["mean"])
        self._optimiser.load_state_dict(saved["optimiser"])
        self.curve = [Point(**point) for point in saved["curve"]]
        return True


def shuffled(lengths: Rows, batch: int, generator: np.random.Generator) -> list[Rows]:
    """Batches in which each place among ``lengths`` (n,) comes once.

    Those of about the same length share a batch, so little of it is padding; which ones do, and the order of
    the batches, are random.
    """
    order = generator.permutation(len(lengths))
    pools = np.array_split(order, math.ceil(len(order) / (_POOL * batch)))
    order = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
    parts = np.array_split(order, max(1, len(order) // batch))
    return [parts[place] for place in generator.permutation(len(parts))]


def _weights(model: nn.Module) -> Weights:
    return {name: part.detach().clone() for name, part in model.state_dict().items()}


def _rate(step: int, schedule: Schedule) -> float:
    """The share of the learning rate: a linear rise, then a linear fall."""
    warmup = min(schedule.warmup, max(1, schedule.steps // 5))
    return min(1.0, (step + 1) / warmup) * max(_LEAST, 1 - step / schedule.steps)
