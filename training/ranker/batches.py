"""Batches of questions with candidates, as tensors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors
from lurcher.training.ranker.network import Decoder
from lurcher.training.ranker.questions import NO_SCORE, CodeStore, Questions, padded_codes

# A cross-encoder's score of a row, by question and row.
TeacherScores = dict[int, dict[int, float]]


@dataclass(frozen=True, slots=True)
class Batch:
    """B questions of L padded tokens with C candidates of M padded codes."""

    states: Tensor  # (B, L, d) float32
    projected: Tensor  # (B, L, bits) float32
    weights: Tensor  # (B, L) float32
    mask: Tensor  # (B, L) bool, where there is a token
    codes: Tensor  # (B, C, M, bits/8) uint8
    counts: Tensor  # (B, C) int64
    prior: Tensor  # (B, C) float32, NO_SCORE where there is no candidate
    teacher: Tensor | None  # (B, C) float32, of a cross-encoder, NaN where it has none

    def scores(self, decoder: Decoder) -> Tensor:
        """The candidates' scores by ``decoder``, (B, C)."""
        x, keys = decoder.read(self.states, self.weights, self.mask)
        return decoder.score(
            x, keys, self.projected, self.weights, self.mask, self.codes, self.counts, self.prior
        )

    def to(self, device: torch.device) -> Batch:
        """The batch on ``device``."""
        teacher = None if self.teacher is None else self.teacher.to(device)
        return Batch(
            self.states.to(device), self.projected.to(device), self.weights.to(device),
            self.mask.to(device), self.codes.to(device), self.counts.to(device),
            self.prior.to(device), teacher,
        )  # fmt: skip


def draw(
    questions: Questions, places: Rows, negatives: int, generator: np.random.Generator
) -> tuple[Rows, Vectors]:
    """Rows (B, 1 + negatives) to train the questions at ``places`` (B,) on, and their scores by maxsim.

    First one that answers the question, if possible one of its candidates: told from those above it, one that
    is far below them all would teach to turn the ranking over. Then half the best of those that do not answer
    it, half any others of them; row -1 where there are too few.
    """
    rows = np.full((len(places), 1 + negatives), -1)
    prior = np.full(rows.shape, NO_SCORE, np.float32)
    for place, question in enumerate(places.tolist()):
        own = questions.answers(question)
        answers = np.arange(own.start, own.stop)
        found = answers[np.isin(questions.relevant[own], questions.rows[question])]
        answer = generator.choice(found if len(found) else answers)
        others = np.flatnonzero(
            (questions.rows[question] >= 0)
            & ~np.isin(questions.rows[question], questions.relevant[own])
        )
        best, rest = np.split(others, [negatives // 2])
        drawn = generator.permutation(rest)[: negatives - negatives // 2]
        chosen = np.concatenate([best, drawn])
        rows[place, 0], prior[place, 0] = (
            questions.relevant[answer],
            questions.relevant_prior[answer],
        )
        rows[place, 1 : 1 + len(chosen)] = questions.rows[question, chosen]
        prior[place, 1 : 1 + len(chosen)] = questions.prior[question, chosen]
    return rows, prior


def batch(
    questions: Questions, store: CodeStore, places: Rows, rows: Rows, prior: Vectors,
    teacher_scores: TeacherScores | None = None,
) -> Batch:  # fmt: skip
    """The questions at ``places`` (B,) with candidates ``rows`` (B, C), which have the scores ``prior``."""
    spans = [questions.tokens(question) for question in places.tolist()]
    shape = (len(spans), max(span.stop - span.start for span in spans))
    states = np.zeros((*shape, questions.states.shape[1]), np.float32)
    projected = np.zeros((*shape, questions.projected.shape[1]), np.float32)
    weights, mask = np.zeros(shape, np.float32), np.zeros(shape, np.bool_)
    for place, span in enumerate(spans):
        here = place, slice(span.stop - span.start)
        states[here], projected[here] = questions.states[span], questions.projected[span]
        weights[here], mask[here] = questions.weights[span], True
    codes, counts = padded_codes(store, rows.ravel())
    return Batch(
        torch.from_numpy(states), torch.from_numpy(projected),
        torch.from_numpy(weights), torch.from_numpy(mask),
        torch.from_numpy(codes.reshape(*rows.shape, *codes.shape[1:])),
        torch.from_numpy(counts.reshape(rows.shape)), torch.from_numpy(prior),
        None if teacher_scores is None else torch.from_numpy(_teacher(teacher_scores, places, rows)),
    )  # fmt: skip


def scores(decoder: Decoder, questions: Questions, store: CodeStore) -> Vectors:
    """Each question's candidates' scores by ``decoder``, (n, K)."""
    found = np.empty(questions.rows.shape, np.float32)
    with torch.inference_mode():
        for question in range(len(questions)):
            places = np.array([question])
            one = batch(questions, store, places, questions.rows[places], questions.prior[places])
            found[question] = one.to(decoder.device).scores(decoder)[0].cpu().numpy()
    return found


def _teacher(teacher_scores: TeacherScores, places: Rows, rows: Rows) -> Vectors:
    nothing: dict[int, float] = {}
    return np.array(
        [
            [teacher_scores.get(question, nothing).get(row, np.nan) for row in of_one]
            for question, of_one in zip(places.tolist(), rows.tolist(), strict=True)
        ],
        np.float32,
    )
