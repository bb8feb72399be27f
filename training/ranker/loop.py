"""The training loop of a decoder: listwise loss, mean weights, checkpoints, the best by development."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bundle.passages import Rows
from bundle.tokens import TokenStore
from models.errors import FieldError, ModelError
from training.ranker.batches import Batch, Says, batch, draw, scores
from training.ranker.decoder import Decoder
from training.ranker.questions import Questions

# What checkpoints are chosen by.
MEASURE = "nDCG@10"
_WARMUP = 100  # steps, or a fifth of few
_LEAST = 0.02  # of the learning rate, at the end
_DECAY = 0.1  # of matrices
_REPORT_EVERY = 50  # steps
_POOL = 32  # batches that are sorted together

Weights = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long, how fast, and how often to look; ``mean`` is what the mean of the weights keeps a step."""

    steps: int = 1_000
    batch: int = 16
    negatives: int = 19
    learning_rate: float = 1e-3
    mean: float = 0.998
    checks: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "negatives", "checks"):
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


def best_of(curve: Sequence[Point]) -> Point:
    """The point whose weights a training keeps."""
    measured = [(point.quality[MEASURE], point) for point in curve if point.quality is not None]
    return max(measured, key=lambda pair: pair[0])[1]


def listwise(decoder: Decoder, one: Batch) -> Tensor:
    """The mean cross-entropy of the first candidate among all.

    Where a cross-encoder spoke, the divergence from its softmax is added, over what it spoke of.
    """
    logits = decoder.scale * one.scores(decoder)
    loss = functional.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long))
    if one.said is None:
        return loss
    spoken = ~one.said.isnan()
    some = spoken.sum(1) > 1
    if not some.any():
        return loss
    said = one.said[some].masked_fill(~spoken[some], -math.inf)
    found = logits[some].masked_fill(~spoken[some], -math.inf)
    # Masked places are nothing on both sides; their logarithms would make 0 x inf of them.
    goal, ours = (part.log_softmax(1).masked_fill(~spoken[some], -1e9) for part in (said, found))
    return loss + (goal.exp() * (goal - ours)).sum(1).mean()


def train(
    decoder: Decoder, questions: Questions, development: Questions, store: TokenStore,
    schedule: Schedule, folder: Path, *,
    says: Says | None = None,
    device: torch.device | None = None,
    report: Callable[[Point], None] = lambda _: None,
) -> list[Point]:  # fmt: skip
    """The curve; ``decoder`` is left with the mean weights that did best on ``development``.

    The first point is the untrained decoder, which ranks as its prior does: where no other does better,
    that is what is left. A checkpoint is written into ``folder`` at each check, and a run that finds one
    there goes on from it, to the same end. Raises ModelError where the loss is no longer finite, OSError
    where a checkpoint cannot be written.
    """
    decoder.to(device or torch.device("cpu"))
    run = _Run(folder / "checkpoint.pt", decoder, schedule, report)
    if not run.restore():
        run.note(None, development.quality())
    every = max(1, schedule.steps // schedule.checks)
    a_epoch = max(1, len(questions) // schedule.batch)
    batches: list[Rows] = []
    losses: list[float] = []
    while run.step < schedule.steps:
        if not batches:
            batches = _epoch(questions, run.step // a_epoch, schedule)[run.step % a_epoch :]
        asked = batches.pop(0)
        # Seeded by the step, so that a run that goes on draws what one in one go would.
        generator = np.random.default_rng((schedule.seed, run.step))
        torch.manual_seed(schedule.seed * 1_000_003 + run.step)
        drawn = draw(questions, asked, schedule.negatives, generator)
        losses.append(run.go(batch(questions, store, asked, *drawn, says)))
        if not math.isfinite(losses[-1]):
            reason = "training diverged; a lower learning rate may hold"
            raise ModelError(f"step {run.step}: the loss is {losses[-1]}: {reason}")
        if run.step % every == 0 or run.step == schedule.steps:
            found = development.quality(scores(run.mean, development, store))
            run.note(float(np.mean(losses)), found)
            run.save()
            losses = []
        elif len(losses) == _REPORT_EVERY:
            run.note(float(np.mean(losses)), None)
            losses = []
    decoder.load_state_dict(run.best_weights)
    decoder.eval()
    return run.curve


def _epoch(questions: Questions, epoch: int, schedule: Schedule) -> list[Rows]:
    """The batches of ``epoch``, in which each question comes once.

    Questions of about the same length share a batch, so little of it is padding; which ones do, and the
    order of the batches, are random.
    """
    generator = np.random.default_rng((schedule.seed, epoch))
    lengths = np.diff(questions.ends, prepend=0)
    order = generator.permutation(len(questions))
    pools = np.array_split(order, math.ceil(len(order) / (_POOL * schedule.batch)))
    order = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
    parts = np.array_split(order, max(1, len(order) // schedule.batch))
    return [parts[place] for place in generator.permutation(len(parts))]


class _Run:
    """How far a training is, and its checkpoint on disk."""

    def __init__(
        self, file: Path, decoder: Decoder, schedule: Schedule, report: Callable[[Point], None]
    ) -> None:
        self._file, self._decoder, self._schedule, self._report = file, decoder, schedule, report
        parts = list(decoder.parameters())
        groups = [
            {"params": [part for part in parts if part.dim() > 1], "weight_decay": _DECAY},
            {"params": [part for part in parts if part.dim() <= 1], "weight_decay": 0.0},
        ]
        self._optimiser = torch.optim.AdamW(groups, lr=schedule.learning_rate, betas=(0.9, 0.98))
        self.step = 0
        self.mean = copy.deepcopy(decoder).eval()
        self.best, self.best_weights = -math.inf, _weights(decoder)
        self.curve: list[Point] = []

    def go(self, one: Batch) -> float:
        """One step; its loss."""
        for group in self._optimiser.param_groups:
            group["lr"] = self._schedule.learning_rate * _rate(self.step, self._schedule.steps)
        self._decoder.train()
        loss = listwise(self._decoder, one.to(self._decoder.device))
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self._decoder.parameters(), 1.0)
        self._optimiser.step()
        self.step += 1
        # A mean of few steps would be mostly of where they began.
        kept = min(self._schedule.mean, self.step / (self.step + 9))
        with torch.no_grad():
            for ours, new in zip(self.mean.parameters(), self._decoder.parameters(), strict=True):
                ours.lerp_(new, 1 - kept)
        return float(loss.item())

    def note(self, loss: float | None, quality: dict[str, float] | None) -> None:
        """Add a point to the curve; keep the mean weights if they are the best so far."""
        self.curve.append(Point(self.step, loss, quality))
        if quality is not None and quality[MEASURE] > self.best:
            self.best, self.best_weights = quality[MEASURE], _weights(self.mean)
        self._report(self.curve[-1])

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        content = {
            "step": self.step,
            "best": self.best,
            "best_weights": self.best_weights,
            "decoder": self._decoder.state_dict(),
            "mean": self.mean.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "curve": [asdict(point) for point in self.curve],
        }
        # By way of memory: torch's own writer does not say that a disk is full.
        buffer = io.BytesIO()
        torch.save(content, buffer)
        new = self._file.with_suffix(".new")
        new.write_bytes(buffer.getbuffer())
        new.replace(self._file)

    def restore(self) -> bool:
        """Go on from the checkpoint; whether there is one."""
        if not self._file.exists():
            return False
        saved = torch.load(self._file, map_location=self._decoder.device, weights_only=True)
        self.step, self.best, self.best_weights = (
            saved["step"],
            saved["best"],
            saved["best_weights"],
        )
        self._decoder.load_state_dict(saved["decoder"])
        self.mean.load_state_dict(saved["mean"])
        self._optimiser.load_state_dict(saved["optimiser"])
        self.curve = [Point(**point) for point in saved["curve"]]
        return True


def _weights(decoder: Decoder) -> Weights:
    return {name: part.detach().clone() for name, part in decoder.state_dict().items()}


def _rate(step: int, steps: int) -> float:
    """The share of the learning rate: a linear rise, then a linear fall."""
    warmup = min(_WARMUP, max(1, steps // 5))
    return min(1.0, (step + 1) / warmup) * max(_LEAST, 1 - step / steps)
