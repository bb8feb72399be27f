"""Training of an encoder's projection to 1-bit codes, on questions whose answers are known.

Both matrices start from the bundle's own. Candidates are what the bundle ranks best; the loss is that of
picking the answer among them (softmax cross-entropy), by the very score that the ranker computes, with
the gradient let through the sign. The encoder stays as it is, so no passage is read anew while training.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors
from lurcher.models.errors import FieldError
from lurcher.models.tokens.projection import Projection
from lurcher.training.ranker.batches import draw
from lurcher.training.ranker.questions import Judged, Questions, token_store
from lurcher.training.tokens.pooled import Pooled, pooled
from lurcher.training.tokens.ste import Scorer


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
class Report:
    """One look at the training: mean loss since the last one, and MRR@10 on development questions."""

    step: int
    loss: float | None
    quality: float


@dataclass(frozen=True, slots=True)
class Material:
    """Questions with candidates, and what their scores are made of."""

    questions: Questions
    vectors: Vectors  # (n, d) of the questions
    bundle: Bundle
    merged: Pooled

    def scores(self, scorer: Scorer, asked: Rows, rows: Rows) -> Tensor:
        """What ``scorer`` says of passages ``rows`` (B, C) for questions ``asked`` (B,); -inf of row -1."""
        mean = token_store(self.bundle).coder.mean
        there = np.maximum(rows, 0)
        states, weights, merged, counts, dense = [], [], [], [], []
        for question, of_one in zip(asked.tolist(), there, strict=True):
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
    bundle: Bundle, asked: Judged, development: Judged, plan: Plan, work: Path,
    report: Callable[[Report], None] = lambda _: None,
) -> Projection:  # fmt: skip
    """The projection that picked best on ``development``: the one to start from, if none was better.

    What is computed once goes to ``work``. Raises FieldError where no question holds a word, ModelError for
    a bundle without tokens.
    """
    store = token_store(bundle)
    trained, held = (
        _material(bundle, judged, plan.depth, work, name)
        for name, judged in (("train", asked), ("development", development))
    )
    torch.manual_seed(plan.seed)
    generator = np.random.default_rng(plan.seed)
    scorer = Scorer(store.coder.projection)
    matrices = [scorer.passages, scorer.queries]
    groups = [
        {"params": matrices, "base": plan.learning_rate},
        {"params": [scorer.scale], "base": 0.01},
    ]
    optimiser = torch.optim.Adam(groups)
    best, best_quality = scorer.projection(), quality(scorer, held)
    report(Report(0, None, best_quality))
    losses: list[float] = []
    for step in range(1, plan.steps + 1):
        for group in optimiser.param_groups:
            group["lr"] = group["base"] * max(0.05, 1 - step / plan.steps)
        size = min(plan.questions_a_batch, len(trained.questions))
        some = generator.choice(len(trained.questions), size, replace=False)
        rows, _ = draw(trained.questions, some, plan.negatives, generator)
        answers = torch.zeros(size, dtype=torch.long)
        loss = functional.cross_entropy(trained.scores(scorer, some, rows), answers)
        if plan.recovery:
            clusters, _ = trained.merged.of(rows[rows >= 0])
            loss = loss + plan.recovery * scorer.recovery(torch.from_numpy(clusters))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        if step % (plan.steps // plan.checks) == 0:
            found = quality(scorer, held)
            report(Report(step, float(np.mean(losses)), found))
            losses.clear()
            if found > best_quality:
                best, best_quality = scorer.projection(), found
    return best


def quality(scorer: Scorer, held: Material) -> float:
    """MRR@10 of the candidates of ``held``, ordered by ``scorer``."""
    found: npt.NDArray[np.float32] = np.empty(held.questions.rows.shape, np.float32)
    with torch.inference_mode():
        for question in range(len(held.questions)):
            one = np.array([question])
            found[question] = held.scores(scorer, one, held.questions.rows[one])[0].numpy()
    return held.questions.quality(found)["MRR@10"]


def _material(bundle: Bundle, asked: Judged, depth: int, work: Path, name: str) -> Material:
    reader = bundle.query_encoder()
    folder = work / name
    if not (folder / "kept.npy").exists():  # which is written last
        shutil.rmtree(folder, ignore_errors=True)
        Questions.make(folder, bundle, reader, asked, depth, depth)
    questions = Questions.open(folder, bundle)
    vectors = reader.encode([asked.texts[i] for i in questions.kept.tolist()])
    keep_ratio = token_store(bundle).settings.keep_ratio
    return Material(questions, vectors, bundle, pooled(bundle, keep_ratio, work / "passages"))
