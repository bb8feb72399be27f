"""The training loop: two cross-entropies, mean weights, checkpoints."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lurcher.benchmarks.baselines.frozen import freeze_below
from lurcher.benchmarks.baselines.pairs import pad
from lurcher.benchmarks.baselines.undecomposed.network import WEIGHTS, Undecomposed
from lurcher.benchmarks.baselines.undecomposed.questions import Example
from lurcher.bundle.passages import Rows
from lurcher.models.errors import FieldError, InputError, ModelError
from lurcher.training import checkpoint
from lurcher.training.run import shuffled

CHECKPOINT = "checkpoint.pt"

_WARMUP = 100  # steps, or a fifth of few
_LEAST = 0.02  # of the learning rate, at the end
_DECAY = 0.01  # of matrices
_SAVE_EVERY, _REPORT_EVERY = 100, 25  # steps


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast; ``mean`` is what the mean of the weights keeps a step."""

    steps: int = 1_500
    batch: int = 32
    learning_rate: float = 2e-4
    mean: float = 0.998
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch"):
            if (value := getattr(self, name)) < 1:
                raise FieldError(name, f"must be at least 1, not {value}")


def train(
    network: Undecomposed, examples: list[Example], schedule: Schedule, folder: Path, *,
    report: Callable[[int, float], None] = lambda *_: None,
) -> None:  # fmt: skip
    """Train ``network``, and leave the mean of its weights in it and in ``folder``.

    ``report`` is told how many steps are done and the mean loss since it was told last. A run that finds a
    checkpoint in ``folder`` goes on from it, to the same end. Raises InputError where there is not one
    step's worth of examples, ModelError where the loss is no longer finite.
    """
    size = schedule.batch
    if len(examples) < size:
        raise InputError(f"{len(examples)} questions are fewer than the {size} of one step")
    run = _Run(folder / CHECKPOINT, network, schedule)
    run.restore()
    a_epoch = len(examples) // size
    lengths = np.array([len(one.pair.ids) for one in examples])
    batches: list[Rows] = []
    losses: list[float] = []
    while run.step < schedule.steps:
        if not batches:
            epoch = np.random.default_rng((schedule.seed, run.step // a_epoch))
            batches = shuffled(lengths, size, epoch)[run.step % a_epoch :]
        losses.append(run.go([examples[place] for place in batches.pop(0)]))
        if not math.isfinite(losses[-1]):
            raise ModelError(f"step {run.step}: the loss is {losses[-1]}: training diverged")
        last = run.step == schedule.steps
        if run.step % _REPORT_EVERY == 0 or last:
            report(run.step, float(np.mean(losses)))
            losses = []
        if run.step % _SAVE_EVERY == 0 or last:
            run.save()
    network.load_state_dict(run.mean, strict=False)
    checkpoint.write(folder / WEIGHTS, network.state_dict())


def cross_entropy(logits: Tensor, examples: Sequence[Example]) -> Tensor:
    """The mean over starts and ends of ``logits`` (B, L, 2), each among its passage's tokens and nothing."""
    batch, width, _ = logits.shape
    here = torch.zeros(batch, width, dtype=torch.bool)
    for row, one in enumerate(examples):
        here[row, one.pair.own] = True
    nothing = logits.new_zeros(batch, 1, 2)
    among = torch.cat([logits.masked_fill(~here[..., None], -math.inf), nothing], dim=1)
    right = torch.tensor([(one.first, one.last) for one in examples])
    return functional.cross_entropy(among, right)  # (B, L + 1, 2) and (B, 2)


class _Run:
    """How far a training is, and its checkpoint on disk."""

    def __init__(self, file: Path, network: Undecomposed, schedule: Schedule) -> None:
        self._file, self._network, self._schedule = file, network, schedule
        freeze_below(network.transformer)
        self._trained = {
            name: part for name, part in network.named_parameters() if part.requires_grad
        }
        parts = list(self._trained.values())
        groups = [
            {"params": [part for part in parts if part.dim() > 1], "weight_decay": _DECAY},
            {"params": [part for part in parts if part.dim() <= 1], "weight_decay": 0.0},
        ]
        self._optimiser = torch.optim.AdamW(
            groups, lr=schedule.learning_rate, betas=(0.9, 0.98), fused=True
        )
        self.step = 0
        self.mean = {name: part.detach().clone() for name, part in self._trained.items()}

    def go(self, batch: Sequence[Example]) -> float:
        """One step; its loss."""
        for group in self._optimiser.param_groups:
            group["lr"] = self._schedule.learning_rate * _rate(self.step, self._schedule.steps)
        # Without dropout: hardly a question is seen twice, so there is nothing to learn by heart.
        self._network.eval()
        inputs = pad([one.pair for one in batch]).values()
        with torch.autocast("cpu", torch.bfloat16):
            logits = self._network(*(torch.from_numpy(array) for array in inputs))
        loss = cross_entropy(logits, batch)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self._trained.values(), 1.0)
        self._optimiser.step()
        self.step += 1
        # A mean of few steps would be mostly of where they began.
        kept = min(self._schedule.mean, self.step / (self.step + 9))
        with torch.no_grad():
            for name, part in self._trained.items():
                self.mean[name].lerp_(part, 1 - kept)
        return float(loss.item())

    def save(self) -> None:
        """Write the checkpoint, whole or not at all; what is frozen is not in it."""
        content = {
            "step": self.step,
            "trained": {name: part.detach() for name, part in self._trained.items()},
            "mean": self.mean,
            "optimiser": self._optimiser.state_dict(),
        }
        checkpoint.write(self._file, content)

    def restore(self) -> None:
        """Go on from the checkpoint, if there is one."""
        if not self._file.exists():
            return
        saved = torch.load(self._file, weights_only=True)
        self.step, self.mean = saved["step"], saved["mean"]
        self._network.load_state_dict(saved["trained"], strict=False)
        self._optimiser.load_state_dict(saved["optimiser"])


def _rate(step: int, steps: int) -> float:
    """The share of the learning rate: a linear rise, then a linear fall."""
    warmup = min(_WARMUP, max(1, steps // 5))
    rise, fall = (step + 1) / warmup, (steps - step) / (steps - warmup + 1)
    return min(1.0, rise, max(_LEAST, fall))
