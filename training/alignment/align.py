"""How a student is aligned with its teacher: losses over batches of queries, and masks that get tighter."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from lurcher.training.alignment import losses
from lurcher.training.alignment.student import Student
from lurcher.training.alignment.targets import Batch, Targets, alike
from lurcher.training.compression.sparsity import Pruner, stages
from lurcher.training.epochs import Epochs
from lurcher.training.loop import Loop, Point

# What checkpoints are chosen by: the share of the teacher's quality.
MEASURE = "development quality kept"
# Loss names as the command line has them; each takes the student's output and a batch.
LOSSES = ("kl", "l2", "cosine", "scores", "tokens")
_WARMUP = 0.05  # of all steps
# Texts by whose states it is decided which weights go, and how many are read at a time.
_CALIBRATION, _TOGETHER = 512, 32


@dataclass(frozen=True)
class Schedule:
    """How long, how fast, and how many checks on the development sets."""

    epochs: float
    queries_a_batch: int
    learning_rate: float
    checks: int  # measurements on the development sets, evenly spaced
    seed: int

    def steps(self, queries: int) -> int:
        """How many steps ``epochs`` over so many queries are."""
        return max(1, round(self.epochs * max(1, queries // self.queries_a_batch)))


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
    report: Callable[[Point], None] = lambda _: None,
    report_every: int = 50,
) -> float:
    """The best ``quality`` seen, a share; the student is left with the weights that reached it.

    A checkpoint is written into ``folder`` at each check, and a run that finds one there goes on
    from it. With a pruner weights go in stages, and only checks at the final sparsity count. Raises
    ModelError if the loss is no longer finite, OSError if a checkpoint cannot be written.
    """
    device = student.head.weight.device
    epochs = Epochs(targets.lengths, schedule.queries_a_batch, schedule.seed)
    steps = schedule.steps(len(targets))
    shares = stages(pruner.sparsity, steps) if pruner else {}
    pruned = max(shares, default=-1)  # the step at which the masks become what they stay
    optimiser = torch.optim.AdamW(
        student.trained(), lr=schedule.learning_rate, weight_decay=0.0, fused=True
    )
    loop = Loop(
        folder / "checkpoint.pt", student, optimiser, steps, max(1, steps // schedule.checks), MEASURE,
        lambda step: _rate(step / steps), schedule.seed, report=report, report_every=report_every,
        extra={"pruner": pruner} if pruner else {},
    )  # fmt: skip

    def read_some() -> None:
        for batch in alike(targets.sample(_CALIBRATION, schedule.seed), _TOGETHER):
            batch = batch.to(device)
            with fast(device):
                student(batch.ids, batch.mask)

    def loss(step: int) -> torch.Tensor:
        if pruner and step in shares:
            pruner.tighten(shares[step], read_some)
        batch = targets.batch(epochs.at(step)).to(device)
        with fast(device):
            vectors, states = student(batch.ids, batch.mask)
        return total_loss(weights, batch, vectors.float(), states.float(), passages)

    # Without dropout: the goal is one function, not one that generalises from noise.
    student.eval()
    loop.run(
        loss, lambda now: {MEASURE: quality(now)},
        after_step=pruner.apply if pruner else lambda: None,
        counts=lambda step: step > pruned,
    )  # fmt: skip
    return loop.best


@contextmanager
def fast(device: torch.device) -> Iterator[None]:
    """Within it products are in bfloat16, and attention in the form that is fastest for short texts.

    On CPUs that is plain products: torch's flash attention takes half of a step's time there, its backward
    pass most of that.
    """
    plain = sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()
    with plain, torch.autocast(device.type, torch.bfloat16):
        yield


def _rate(progress: float) -> float:
    """The share of the learning rate: a linear rise, then a cosine down to a hundredth."""
    if progress < _WARMUP:
        return progress / _WARMUP + 1e-3
    return 0.01 + 0.99 * (1 + math.cos(math.pi * min(1.0, progress))) / 2
