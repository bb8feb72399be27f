"""How a reader is trained: by spans under one softmax over all passages that are read for a question."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lurcher.training.epochs import Epochs
from lurcher.training.loop import Loop, Point
from lurcher.training.reader.batches import Library
from lurcher.training.reader.network import Reader
from lurcher.training.schedule import Schedule, adamw

# What checkpoints are chosen by.
MEASURE = "F1"
DECAY = 0.01


def span_loss(logits: Tensor, groups: Tensor, answers: Tensor) -> Tensor:
    """The mean cross-entropy of starts and of ends, each over all tokens of a group and nothing at all.

    ``logits`` (S, M, 2); ``groups`` (G, 2) and ``answers`` (G, 2) as in a Batch. Shared normalisation
    (Clark & Gardner 2018, section 3.2); that nothing answers has the logit 0.
    """
    none = logits.new_full((1, 2), -math.inf)
    sums = torch.cat([logits.logsumexp(1), none])[groups]  # (G, 2, 2), row -1 is the last one
    whole = torch.cat([sums, torch.zeros_like(sums[:, :1])], dim=1).logsumexp(1)
    first = logits[groups[:, 0]]  # (G, M, 2)
    at_answer = first.gather(1, answers.clamp(min=0)[:, None])[:, 0]  # (G, 2) of start and end
    return (whole - torch.where(answers >= 0, at_answer, 0.0)).mean()


def train(
    reader: Reader, library: Library, quality: Callable[[Reader], dict[str, float]],
    schedule: Schedule, folder: Path, *,
    device: torch.device | None = None,
    report: Callable[[Point], None] = lambda _: None,
) -> list[Point]:  # fmt: skip
    """The curve; ``reader`` is left with the mean weights that did best by ``quality``.

    A checkpoint is written into ``folder`` at each check, and a run that finds one there goes on from it, to
    the same end. Raises ModelError where the loss is no longer finite, OSError where a checkpoint cannot be
    written.
    """
    reader.to(device or torch.device("cpu")).train()
    loop = Loop(
        folder / "checkpoint.pt", reader, adamw(reader, schedule.learning_rate, DECAY), schedule.steps,
        schedule.every, MEASURE, schedule.rate, schedule.seed, schedule.mean, report=report,
    )  # fmt: skip
    epochs = Epochs(library.lengths(), schedule.batch, schedule.seed)

    def loss(step: int) -> Tensor:
        generator = np.random.default_rng((schedule.seed, step))
        drawn = library.draw(epochs.at(step), generator).to(reader.device)
        with in_bfloat16(reader.device):
            logits = drawn.logits(reader)
        return span_loss(logits.float(), drawn.groups, drawn.answers)

    return loop.run(loss, quality)


def in_bfloat16(device: torch.device) -> torch.autocast | nullcontext[None]:
    """A context in which products are taken in bfloat16, where the device is fast at it."""
    fast = device.type == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16) if fast else nullcontext()
