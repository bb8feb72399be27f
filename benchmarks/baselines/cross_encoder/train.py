"""Training on questions, each with what answers it and what the first stage found in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lurcher.benchmarks.baselines.cross_encoder.model import WEIGHTS, CrossEncoder, logits
from lurcher.benchmarks.baselines.cross_encoder.pairs import Ids, PairTokenizer
from lurcher.benchmarks.baselines.cross_encoder.rank import FOUND, first_stage
from lurcher.benchmarks.baselines.frozen import freeze_below
from lurcher.bundle.bundle import Bundle
from lurcher.errors import InputError
from lurcher.evaluation.judgements import Qrels
from lurcher.training import checkpoint
from lurcher.training.loop import Loop

_CHECKPOINT = "checkpoint.pt"
_NEGATIVES = 7  # beside each relevant passage
_WARMUP = 0.06  # of all steps
_SAVE_EVERY = 10  # steps
# Padded tokens a batch. What a step needs at a time does not matter, since all of its activations are
# kept for the way back.
_TRAINED_TOKENS = 2_048


@dataclass(frozen=True)
class Question:
    """One question to train on; passages are rows of the bundle."""

    tokens: list[int]
    positive: int
    negatives: list[int]


@dataclass(frozen=True)
class Schedule:
    """How fast, and how many questions a step."""

    questions_a_step: int = 8
    learning_rate: float = 5e-5
    seed: int = 0


def mine(
    bundle: Bundle, tokenizer: PairTokenizer, queries: Mapping[str, str], qrels: Qrels
) -> tuple[list[Question], dict[int, list[int]]]:
    """The questions of ``qrels`` with what the first stage finds for them, and those passages' ids.

    A question without a relevant passage in the bundle is left out, as is one whose relevant
    passages are all that was found.
    """
    query_ids = [id_ for id_ in qrels if id_ in queries]
    found = first_stage(bundle, [queries[id_] for id_ in query_ids], FOUND)
    rows_of = bundle.passages.rows_of(list({p for id_ in query_ids for p in qrels[id_]}))
    questions = []
    texts = tokenizer.tokens([queries[id_] for id_ in query_ids])
    for id_, tokens, (_, rows) in zip(query_ids, texts, found, strict=True):
        relevant = [rows_of[p] for p, grade in qrels[id_].items() if grade > 0 and p in rows_of]
        negatives = [int(row) for row in rows if row not in relevant]
        if relevant and negatives:
            questions.append(Question(tokens, relevant[0], negatives))
    needed = sorted({row for q in questions for row in (q.positive, *q.negatives)})
    contents = [passage.content for passage in bundle.passages.get(needed)]
    return questions, dict(zip(needed, tokenizer.tokens(contents), strict=True))


def train(
    network: CrossEncoder,
    tokenizer: PairTokenizer,
    questions: Sequence[Question],
    passages: Mapping[int, Ids],
    schedule: Schedule,
    folder: Path,
    *,
    report: Callable[[int, int, float], None] = lambda *_: None,
) -> None:
    """Train ``network`` on ``questions``, each once and in that order, and leave its weights in ``folder``.

    ``report`` is told each step's number, how many there are, and its loss. A run that finds a checkpoint
    in ``folder`` goes on from it. Raises ModelError where the loss is no longer finite, InputError where
    there is not one step's worth of questions.
    """
    size = schedule.questions_a_step
    steps = len(questions) // size
    if not steps:
        raise InputError(f"{len(questions)} questions are fewer than the {size} of one step")
    freeze_below(network.transformer)
    trained = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, schedule.learning_rate, fused=True)
    loop = Loop(
        folder / _CHECKPOINT, network, optimiser, steps, _SAVE_EVERY, "",
        lambda step: _rate(step / steps), schedule.seed,
        report=lambda point: report(point.step, steps, point.loss or 0.0), report_every=1,
    )  # fmt: skip

    def loss(step: int) -> torch.Tensor:
        batch = questions[step * size : (step + 1) * size]
        generator = np.random.default_rng((schedule.seed, step))
        pairs = [
            tokenizer.pair(question.tokens, passages[row])
            for question in batch
            for row in (question.positive, *_sample(question.negatives, generator))
        ]
        with torch.autocast("cpu", torch.bfloat16):
            found = logits(network, pairs, _TRAINED_TOKENS).view(len(batch), -1)
        relevant = torch.zeros(len(batch), dtype=torch.long)
        return torch.nn.functional.cross_entropy(found.float(), relevant)

    # Without dropout: every question is seen once, so there is nothing to learn by heart.
    network.eval()
    loop.run(loss)
    checkpoint.write(folder / WEIGHTS, network.state_dict())


def _sample(negatives: Sequence[int], generator: np.random.Generator) -> list[int]:
    """As many of ``negatives`` as each question gets, some twice only where there are too few."""
    few = len(negatives) < _NEGATIVES
    return [int(row) for row in generator.choice(negatives, _NEGATIVES, replace=few)]


def _rate(progress: float) -> float:
    """The share of the learning rate: a linear rise, then a linear fall to nothing."""
    return min((progress + 1e-3) / _WARMUP, max(0.0, 1 - progress) / (1 - _WARMUP))
