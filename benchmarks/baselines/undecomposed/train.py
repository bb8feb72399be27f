"""How it is trained: two cross-entropies, over mean weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lurcher.benchmarks.baselines.frozen import freeze_below
from lurcher.benchmarks.baselines.pairs import pad
from lurcher.benchmarks.baselines.undecomposed.network import WEIGHTS, Undecomposed
from lurcher.benchmarks.baselines.undecomposed.questions import Example
from lurcher.errors import FieldError, InputError
from lurcher.training import checkpoint
from lurcher.training.epochs import Epochs
from lurcher.training.loop import Loop
from lurcher.training.schedule import adamw

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
    freeze_below(network.transformer)
    optimiser = adamw(network, schedule.learning_rate, _DECAY, fused=True)
    loop = Loop(
        folder / CHECKPOINT, network, optimiser, schedule.steps, _SAVE_EVERY, "",
        lambda step: _rate(step, schedule.steps), schedule.seed, schedule.mean,
        report=lambda point: report(point.step, point.loss or 0.0), report_every=_REPORT_EVERY,
    )  # fmt: skip
    epochs = Epochs(np.array([len(one.pair.ids) for one in examples]), size, schedule.seed)

    def loss(step: int) -> Tensor:
        batch = [examples[place] for place in epochs.at(step)]
        inputs = pad([one.pair for one in batch]).values()
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(*(torch.from_numpy(array) for array in inputs))
        return cross_entropy(logits, batch)

    # Without dropout: hardly a question is seen twice, so there is nothing to learn by heart.
    network.eval()
    loop.run(loss)
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


def _rate(step: int, steps: int) -> float:
    """The share of the learning rate: a linear rise, then a linear fall."""
    warmup = min(_WARMUP, max(1, steps // 5))
    rise, fall = (step + 1) / warmup, (steps - step) / (steps - warmup + 1)
    return min(1.0, rise, max(_LEAST, fall))
