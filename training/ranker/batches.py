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

# What a cross-encoder says of a row, by question and row.
Says = dict[int, dict[int, float]]


@dataclass(frozen=True, slots=True)
class Batch:
    """B questions of L padded tokens with C candidates of M padded codes."""

    states: Tensor  # (B, L, d) float32
    points: Tensor  # (B, L, bits) float32
    weights: Tensor  # (B, L) float32
    mask: Tensor  # (B, L) bool, where there is a token
    codes: Tensor  # (B, C, M, bits/8) uint8
    counts: Tensor  # (B, C) int64
    prior: Tensor  # (B, C) float32, NO_SCORE where there is no candidate
    said: Tensor | None  # (B, C) float32, by a cross-encoder, NaN where it said nothing

    def scores(self, decoder: Decoder) -> Tensor:
        """What ``decoder`` scores the candidates, (B, C)."""
        x, keys = decoder.read(self.states, self.weights, self.mask)
        return decoder.score(
            x, keys, self.points, self.weights, self.mask, self.codes, self.counts, self.prior
        )

    def to(self, device: torch.device) -> Batch:
        """The batch on ``device``."""
        said = None if self.said is None else self.said.to(device)
        return Batch(
            self.states.to(device), self.points.to(device), self.weights.to(device),
            self.mask.to(device), self.codes.to(device), self.counts.to(device),
            self.prior.to(device), said,
        )  # fmt: skip


def draw(
    questions: Questions, asked: Rows, negatives: int, generator: np.random.Generator
) -> tuple[Rows, Vectors]:
    """Rows (B, 1 + negatives) to train ``asked`` (B,) on, and what late interaction scores them.

    First one that answers the question, if possible one of its candidates: told from those above it, one that
    is far below them all would teach to turn the ranking over. Then half the best of those that do not answer
    it, half any others of them; row -1 where there are too few.
    """
    rows = np.full((len(asked), 1 + negatives), -1)
    prior = np.full(rows.shape, NO_SCORE, np.float32)
    for place, question in enumerate(asked.tolist()):
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
    questions: Questions, store: CodeStore, asked: Rows, rows: Rows, prior: Vectors, says: Says | None = None
) -> Batch:  # fmt: skip
    """``asked`` (B,) with candidates ``rows`` (B, C) that late interaction scores ``prior`` (B, C)."""
    spans = [questions.tokens(question) for question in asked.tolist()]
    shape = (len(spans), max(span.stop - span.start for span in spans))
    states = np.zeros((*shape, questions.states.shape[1]), np.float32)
    points = np.zeros((*shape, questions.points.shape[1]), np.float32)
    weights, mask = np.zeros(shape, np.float32), np.zeros(shape, np.bool_)
    for place, span in enumerate(spans):
        here = place, slice(span.stop - span.start)
        states[here], points[here] = questions.states[span], questions.points[span]
        weights[here], mask[here] = questions.weights[span], True
    codes, counts = padded_codes(store, rows.ravel())
    return Batch(
        torch.from_numpy(states), torch.from_numpy(points), torch.from_numpy(weights), torch.from_numpy(mask),
        torch.from_numpy(codes.reshape(*rows.shape, *codes.shape[1:])),
        torch.from_numpy(counts.reshape(rows.shape)), torch.from_numpy(prior),
        None if says is None else torch.from_numpy(_said(says, asked, rows)),
    )  # fmt: skip


def scores(decoder: Decoder, questions: Questions, store: CodeStore) -> Vectors:
    """What ``decoder`` scores each question's candidates, (n, K)."""
    found = np.empty(questions.rows.shape, np.float32)
    with torch.inference_mode():
        for question in range(len(questions)):
            asked = np.array([question])
            one = batch(questions, store, asked, questions.rows[asked], questions.prior[asked])
            found[question] = one.to(decoder.device).scores(decoder)[0].cpu().numpy()
    return found


def _said(says: Says, asked: Rows, rows: Rows) -> Vectors:
    nothing: dict[int, float] = {}
    return np.array(
        [
            [says.get(question, nothing).get(row, np.nan) for row in of_one]
            for question, of_one in zip(asked.tolist(), rows.tolist(), strict=True)
        ],
        np.float32,
    )
