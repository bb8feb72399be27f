"""The training loop: losses over batches of queries, masks, checkpoints, and the best by retrieval."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lurcher.models.errors import ModelError
from lurcher.training import checkpoint
from lurcher.training.alignment import losses
from lurcher.training.alignment.student import Student
from lurcher.training.alignment.targets import Batch, Targets, batch_count, batches
from lurcher.training.compression.sparsity import Pruner

# Loss names as the command line has them; each takes the student's output and a batch.
LOSSES = ("kl", "l2", "cosine", "scores", "tokens")
_WARMUP = 0.05  # of all steps
_PRUNED = 0.6  # the share of all steps after which the masks stay as they are
_PRUNE_EVERY = 32  # steps
_REPORT_EVERY = 50  # steps


@dataclass(frozen=True)
class Schedule:
    """How long, how fast, and how often to look."""

    epochs: float
    queries_a_batch: int
    learning_rate: float
    checks: int  # measurements on the development sets, evenly spaced
    seed: int


@dataclass(frozen=True)
class Step:
    """One report of the loop."""

    step: int
    steps: int
    loss: float  # mean since the last report
    quality: float | None  # mean share of the teacher's quality kept; None between checks


def total_loss(
    weights: Mapping[str, float],
    batch: Batch,
    vectors: torch.Tensor,
    states: torch.Tensor,
    passages: torch.Tensor | None,
) -> torch.Tensor:
    """The weighted sum of the losses named in ``weights``, over one batch."""
    total = vectors.new_zeros(())
    for name, weight in weights.items():
        match name:
            case "kl":
                found = losses.coordinate_kl(vectors, batch.vectors)
            case "l2":
                found = losses.l2(vectors, batch.vectors)
            case "cosine":
                found = losses.cosine(vectors, batch.vectors)
            case "tokens":
                found = losses.token_alignment(states, batch.states, batch.mask)
            case "scores":
                if passages is None or batch.rows is None:
                    raise ValueError("score alignment needs the passages of an index")
                found = losses.score_alignment(vectors, batch.vectors, passages[batch.rows])
            case _:
                raise ValueError(f"unknown loss {name}")
        total = total + weight * found
    return total


def align(
    student: Student,
    targets: Targets,
    weights: Mapping[str, float],
    schedule: Schedule,
    quality: Callable[[Student], float],
    folder: Path,
    *,
    passages: torch.Tensor | None = None,
    pruner: Pruner | None = None,
    report: Callable[[Step], None] = lambda _: None,
) -> float:
    """The best ``quality`` seen; the student is left with the weights that reached it.

    A checkpoint is written into ``folder`` at each check, and a run that finds one there goes on
    from it. With a pruner only checks at the final sparsity count. Raises ModelError where the loss
    is no longer finite, OSError where a checkpoint cannot be written.
    """
    device = student.head.weight.device
    a_epoch = batch_count(len(targets), schedule.queries_a_batch)
    steps = max(1, round(schedule.epochs * a_epoch))
    every = max(1, steps // schedule.checks)
    pruned = int(_PRUNED * steps)  # the step at which the masks become what they stay
    optimiser = torch.optim.AdamW(
        student.trained(), lr=schedule.learning_rate, weight_decay=0.0, fused=True
    )
    rate = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step / steps))
    run = _Run(folder / "checkpoint.pt", student, optimiser, rate, pruner)
    run.restore()
    # Without dropout: the goal is one function, not one that generalises from noise.
    student.eval()
    total, since = 0.0, 0
    while run.step < steps:
        epoch, done = divmod(run.step, a_epoch)
        for batch in batches(targets, schedule.queries_a_batch, schedule.seed + epoch, done):
            batch = batch.to(device)
            if pruner and run.step == pruned:
                pruner.tighten(1.0)
            elif pruner and run.step < pruned and run.step % _PRUNE_EVERY == 0:
                pruner.tighten(run.step / pruned)
            with torch.autocast(device.type, torch.bfloat16):
                vectors, states = student(batch.ids, batch.mask)
            loss = total_loss(weights, batch, vectors.float(), states.float(), passages)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(student.trained(), 1.0)
            optimiser.step()
            rate.step()
            if pruner:
                pruner.apply()
            run.step, total, since = run.step + 1, total + loss.item(), since + 1
            if not math.isfinite(total):
                raise ModelError(
                    f"step {run.step}: the loss is {loss.item()}: training diverged; a lower "
                    "learning rate may hold"
                )
            if run.step % every == 0 or run.step == steps:
                found = quality(student)
                if (pruner is None or run.step > pruned) and found > run.best:
                    run.best, run.best_weights = found, student.weights()
                report(Step(run.step, steps, total / since, found))
                total, since = 0.0, 0
                run.save()
            elif since == _REPORT_EVERY:
                report(Step(run.step, steps, total / since, None))
                total, since = 0.0, 0
            if run.step == steps:
                break
    student.load_weights(run.best_weights)
    return run.best


class _Run:
    """How far a training is, and its checkpoint on disk."""

    def __init__(
        self, file: Path, student: Student, optimiser: Any, rate: Any, pruner: Pruner | None
    ) -> None:
        self._file = file
        self._student, self._optimiser, self._rate, self._pruner = student, optimiser, rate, pruner
        self.step, self.best, self.best_weights = 0, -math.inf, student.weights()

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        content = {
            "step": self.step,
            "best": self.best,
            "best_weights": self.best_weights,
            "student": self._student.weights(),
            "optimiser": self._optimiser.state_dict(),
            "rate": self._rate.state_dict(),
            "masks": self._pruner.masks if self._pruner else {},
        }
        checkpoint.write(self._file, content)

    def restore(self) -> None:
        """Go on from the checkpoint, if there is one."""
        if not self._file.exists():
            return
        device = self._student.head.weight.device
        saved = torch.load(self._file, map_location=device, weights_only=True)
        self.step, self.best = saved["step"], saved["best"]
        self.best_weights = saved["best_weights"]
        self._student.load_weights(saved["student"])
        self._optimiser.load_state_dict(saved["optimiser"])
        self._rate.load_state_dict(saved["rate"])
        if self._pruner:
            self._pruner.masks = saved["masks"]


def _rate(progress: float) -> float:
    """The share of the learning rate: a linear rise, then a cosine down to a hundredth."""
    if progress < _WARMUP:
        return progress / _WARMUP + 1e-3
    return 0.01 + 0.99 * (1 + math.cos(math.pi * min(1.0, progress))) / 2
