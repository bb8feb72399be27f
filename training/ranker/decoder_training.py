"""How a decoder is trained: by a listwise loss over candidates, from a ranking that is good already."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lurcher.errors import FieldError
from lurcher.training.epochs import Epochs
from lurcher.training.loop import Loop, Point
from lurcher.training.ranker.batches import Batch, TeacherScores, batch, draw, scores
from lurcher.training.ranker.network import Decoder
from lurcher.training.ranker.questions import CodeStore, Questions
from lurcher.training.schedule import Schedule as AnySchedule
from lurcher.training.schedule import adamw

# What checkpoints are chosen by.
MEASURE = "nDCG@10"
_DECAY = 0.1

Loss = Callable[[Decoder, Batch], Tensor]


@dataclass(frozen=True, slots=True)
class Schedule(AnySchedule):
    """A schedule with how many candidates a question is to be told from, in a step."""

    negatives: int = 19

    def __post_init__(self) -> None:
        AnySchedule.__post_init__(self)
        if self.negatives < 1:
            raise FieldError("negatives", f"must be at least 1, not {self.negatives}")


def listwise(decoder: Decoder, one: Batch) -> Tensor:
    """The mean cross-entropy of the first candidate among all.

    Where a cross-encoder has scores, the divergence from its softmax over those candidates is added.
    """
    logits = decoder.scale * one.scores(decoder)
    loss = functional.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long))
    if one.teacher is None:
        return loss
    known = ~one.teacher.isnan()
    some = known.sum(1) > 1
    if not some.any():
        return loss
    theirs = one.teacher[some].masked_fill(~known[some], -math.inf)
    found = logits[some].masked_fill(~known[some], -math.inf)
    # Masked places are nothing on both sides; their logarithms would make 0 x inf of them.
    goal, ours = (part.log_softmax(1).masked_fill(~known[some], -1e9) for part in (theirs, found))
    return loss + (goal.exp() * (goal - ours)).sum(1).mean()


def train(
    decoder: Decoder, questions: Questions, development: Questions, store: CodeStore,
    schedule: Schedule, folder: Path, *,
    lost: Loss = listwise,
    teacher_scores: TeacherScores | None = None,
    device: torch.device | None = None,
    report: Callable[[Point], None] = lambda _: None,
) -> list[Point]:  # fmt: skip
    """The curve; ``decoder`` is left with the mean weights that did best on ``development``.

    ``lost`` is what a batch costs. The first point is the untrained decoder, which ranks as its prior does:
    where no other does better, that is what is left. A checkpoint is written into ``folder`` at each check,
    and a run that finds one there goes on from it, to the same end. Raises ModelError where the loss is no
    longer finite, OSError where a checkpoint cannot be written.
    """
    decoder.to(device or torch.device("cpu")).train()
    loop = Loop(
        folder / "checkpoint.pt", decoder, adamw(decoder, schedule.learning_rate, _DECAY), schedule.steps,
        schedule.every, MEASURE, schedule.rate, schedule.seed, schedule.mean, report=report,
    )  # fmt: skip
    epochs = Epochs(np.diff(questions.ends, prepend=0), schedule.batch, schedule.seed)

    def loss(step: int) -> Tensor:
        places = epochs.at(step)
        generator = np.random.default_rng((schedule.seed, step))
        drawn = draw(questions, places, schedule.negatives, generator)
        return lost(
            decoder, batch(questions, store, places, *drawn, teacher_scores).to(decoder.device)
        )

    def quality(measured: Decoder) -> dict[str, float]:
        return development.quality(scores(measured, development, store))

    return loop.run(loss, quality, untrained=development.quality)
