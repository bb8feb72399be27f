"""Training of an encoder's projection to 1-bit codes, on questions whose answers are known.

Both matrices start from the bundle's own. Candidates are what the bundle ranks best; the loss is that of
picking the answer among them (softmax cross-entropy), by the very score that the ranker computes, with
the gradient let through the sign. The encoder stays as it is, so no passage is read anew while training.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors
from lurcher.errors import FieldError
from lurcher.models.tokens.projection import Projection
from lurcher.threads import available_cpus
from lurcher.training.loop import Loop, Point
from lurcher.training.partial import begin
from lurcher.training.ranker.batches import draw
from lurcher.training.ranker.questions import Judged, Questions, token_store
from lurcher.training.tokens.pooled import Pooled, pooled
from lurcher.training.tokens.ste import Scorer

# What checkpoints are chosen by.
MEASURE = "MRR@10"
_SCALE_RATE = 0.01  # the learning rate of the scores' scale
_LEAST = 0.05  # of the learning rates, at the end


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast; ``recovery`` weighs BTR's recovery loss."""

    steps: int = 500
    questions_a_batch: int = 32
    negatives: int = 15
    learning_rate: float = 3e-4
    recovery: float = 0.0
    depth: int = 50
    checks: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (
            ("checks", 1), ("questions_a_batch", 1), ("negatives", 1), ("depth", 2), ("seed", 0),
        ):  # fmt: skip
            if (value := getattr(self, name)) < least:
                raise FieldError(name, f"must be at least {least}, not {value}")
        if self.steps < self.checks:
            reason = f"must be at least {self.checks}, the number of checks, not {self.steps}"
            raise FieldError("steps", reason)
        if not 0 < self.learning_rate < math.inf:
            reason = f"must be above 0 and finite, not {self.learning_rate}"
            raise FieldError("learning_rate", reason)
        if not 0 <= self.recovery < math.inf:
            raise FieldError("recovery", f"must be at least 0 and finite, not {self.recovery}")


@dataclass(frozen=True, slots=True)
class Material:
    """Questions with candidates, and what their scores are made of."""

    questions: Questions
    vectors: Vectors  # (n, d) of the questions
    bundle: Bundle
    merged: Pooled

    def scores(self, scorer: Scorer, places: Rows, rows: Rows) -> Tensor:
        """Scores (B, C) of passages ``rows`` (B, C) for the questions at ``places`` (B,); -inf of row -1."""
        mean = token_store(self.bundle).coder.mean
        there = np.maximum(rows, 0)
        states, weights, merged, counts, dense = [], [], [], [], []
        for question, of_one in zip(places.tolist(), there, strict=True):
            own = self.questions.tokens(question)
            found = self.questions.states[own].astype(np.float32)
            units = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
            states.append(torch.from_numpy(units - mean))
            weights.append(torch.from_numpy(np.array(self.questions.weights[own])))
            clusters, number = self.merged.of(of_one)
            merged.append(torch.from_numpy(clusters))
            counts.append(number.tolist())
            dense.append(self.bundle.vectors.vectors(of_one) @ self.vectors[question])
        scored: Tensor = scorer(states, weights, merged, counts, torch.from_numpy(np.stack(dense)))
        return scored.masked_fill(torch.from_numpy(rows < 0), -torch.inf)


def train(
    bundle: Bundle, judged: Judged, development: Judged, plan: Plan, work: Path,
    report: Callable[[Point], None] = lambda _: None,
) -> Projection:  # fmt: skip
    """The projection that picked best on ``development``: the one to start from, if none was better.

    What is computed once goes to ``work``, and a checkpoint at each check, from which another run goes on.
    Raises FieldError if no question holds a word, ModelError for a bundle without tokens.
    """
    store = token_store(bundle)
    trained, held = (
        _material(bundle, some, plan.depth, work, name)
        for name, some in (("train", judged), ("development", development))
    )
    begin(work / "training", [asdict(plan)])
    scorer = Scorer(store.coder.projection)
    groups = [
        {"params": [scorer.passages, scorer.queries], "lr": plan.learning_rate},
        {"params": [scorer.scale], "lr": _SCALE_RATE},
    ]
    loop = Loop(
        work / "training" / "checkpoint.pt", scorer, torch.optim.Adam(groups), plan.steps,
        plan.steps // plan.checks, MEASURE, lambda step: max(_LEAST, 1 - step / plan.steps), plan.seed,
        clip=math.inf, report=report,
    )  # fmt: skip

    def loss(step: int) -> Tensor:
        generator = np.random.default_rng((plan.seed, step))
        size = min(plan.questions_a_batch, len(trained.questions))
        some = generator.choice(len(trained.questions), size, replace=False)
        rows, _ = draw(trained.questions, some, plan.negatives, generator)
        answers = torch.zeros(size, dtype=torch.long)
        found = functional.cross_entropy(trained.scores(scorer, some, rows), answers)
        if plan.recovery:
            clusters, _ = trained.merged.of(rows[rows >= 0])
            found = found + plan.recovery * scorer.recovery(torch.from_numpy(clusters))
        return found

    def check(now: Scorer) -> dict[str, float]:
        return {MEASURE: quality(now, held)}

    loop.run(loss, check, untrained=lambda: check(scorer))
    return scorer.projection()


def quality(scorer: Scorer, held: Material) -> float:
    """MRR@10 of the candidates of ``held``, ordered by ``scorer``."""
    found: npt.NDArray[np.float32] = np.empty(held.questions.rows.shape, np.float32)
    with torch.inference_mode():
        for question in range(len(held.questions)):
            one = np.array([question])
            found[question] = held.scores(scorer, one, held.questions.rows[one])[0].numpy()
    return held.questions.quality(found)[MEASURE]


def _material(bundle: Bundle, judged: Judged, depth: int, work: Path, name: str) -> Material:
    reader = bundle.query_encoder(available_cpus())
    folder = work / name
    if not (folder / "kept.npy").exists():  # which is written last
        shutil.rmtree(folder, ignore_errors=True)
        Questions.make(folder, bundle, reader, judged, depth, depth)
    questions = Questions.open(folder, bundle)
    vectors = reader.encode([judged.texts[i] for i in questions.kept.tolist()])
    keep_ratio = token_store(bundle).settings.keep_ratio
    return Material(questions, vectors, bundle, pooled(bundle, keep_ratio, work / "passages"))
