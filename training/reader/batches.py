"""Batches of questions with passages to read, as tensors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lurcher.bundle.passages import Rows
from lurcher.bundle.reading_store import ReadingStore
from lurcher.models.reader.coder import ReadingCoder
from lurcher.models.tokens.clustering import Integers, Vectors
from lurcher.training.ranker.questions import Questions
from lurcher.training.reader.network import Reader
from lurcher.training.reader.spans import Answered, Texts

# Of a question's passage alone, of one with a wrong one beside it, and of a wrong one alone.
_ALONE, _BESIDE = 0.55, 0.85
# Wrong passages of which the one as long as the right one is drawn, so that little is padding.
_DRAWN = 3


@dataclass(frozen=True, slots=True)
class Batch:
    """S passages, each read for one of G questions; L tokens of a question, M of a passage, padded."""

    states: Tensor  # (S, L, d) float32
    weights: Tensor  # (S, L) float32
    query_mask: Tensor  # (S, L) bool
    decoded: Tensor  # (S, M, d) float32, what the passages' codes stand for
    places: Tensor  # (S, M) int64
    there: Tensor  # (S, M) bool
    groups: Tensor  # (G, 2) int64, which passages are read for a question, -1: no second one
    answers: (
        Tensor  # (G, 2) int64, first and last token in the first passage of its group, -1: none
    )

    def logits(self, reader: Reader) -> Tensor:
        """Of starts and ends, (S, M, 2)."""
        return reader(
            self.states, self.weights, self.decoded, self.places, self.query_mask, self.there
        )

    def to(self, device: torch.device) -> Batch:
        """The batch on ``device``."""
        return Batch(
            self.states.to(device), self.weights.to(device), self.query_mask.to(device),
            self.decoded.to(device), self.places.to(device), self.there.to(device),
            self.groups.to(device), self.answers.to(device),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Library:
    """What batches are made of."""

    questions: Questions
    states: npt.NDArray[np.float16]  # (T, d), lower ones, of the questions' tokens
    answered: Answered
    texts: Texts
    store: ReadingStore

    @property
    def coder(self) -> ReadingCoder:
        """How the codes of ``store`` become states."""
        return self.store.coder

    def lengths(self) -> Integers:
        """About how many tokens it takes to read each question with its passage, (n,)."""
        starts, ends = self.texts.starts, self.questions.ends
        queries = np.diff(ends, prepend=0)[self.answered.questions]
        lengths: Integers = starts[self.answered.rows + 1] - starts[self.answered.rows] + queries
        return lengths

    def query_states(self, tokens: slice) -> Vectors:
        """What a question's ``tokens`` are among decoded states, (L, d)."""
        return self.coder.query(self.states[tokens].astype(np.float32))

    def batch(self, pairs: list[tuple[int, int]], groups: Rows, answers: Integers) -> Batch:
        """Of ``pairs``, each a question of ``answered`` and the row of a passage to read for it."""
        spans = [self.questions.tokens(int(self.answered.questions[place])) for place, _ in pairs]
        owns = [self.texts.of(row) for _, row in pairs]
        query_mask = np.zeros((len(pairs), max(one.stop - one.start for one in spans)), np.bool_)
        there = np.zeros((len(pairs), max(1, *(one.stop - one.start for one in owns))), np.bool_)
        dimension = len(self.coder.mean)
        states = np.zeros((*query_mask.shape, dimension), np.float32)
        decoded = np.zeros((*there.shape, dimension), np.float32)
        weights, places = np.zeros(query_mask.shape, np.float32), np.zeros(there.shape, np.int64)
        for i, ((_, row), span, own) in enumerate(zip(pairs, spans, owns, strict=True)):
            mine = i, slice(span.stop - span.start)
            states[mine] = self.query_states(span)
            weights[mine], query_mask[mine] = self.questions.weights[span], True
            theirs = i, slice(own.stop - own.start)
            codes, _ = self.store.gather(np.array([row]))
            decoded[theirs] = self.coder.decode(codes, self.texts.ids[own])
            places[theirs], there[theirs] = self.texts.places[own], True
        return Batch(
            *map(
                torch.from_numpy,
                (states, weights, query_mask, decoded, places, there, groups, answers),
            )
        )

    def draw(self, questions: Rows, generator: np.random.Generator) -> Batch:
        """Of numbers ``questions`` (G,) of ``answered``, some with a wrong passage beside or instead."""
        found = self.answered
        pairs: list[tuple[int, int]] = []
        groups = np.full((len(questions), 2), -1)
        answers = np.stack([found.first[questions], found.last[questions]], axis=1)
        for i, question in enumerate(questions.tolist()):
            chance = generator.random()
            wrong = found.wrong[question][found.wrong[question] >= 0]
            if chance < _ALONE or not len(wrong):
                rows = [int(found.rows[question])]
            else:
                other = self._as_long(
                    int(found.rows[question]), generator.permutation(wrong)[:_DRAWN]
                )
                rows = [int(found.rows[question]), other] if chance < _BESIDE else [other]
                if chance >= _BESIDE:
                    answers[i] = -1
            groups[i, : len(rows)] = range(len(pairs), len(pairs) + len(rows))
            pairs += [(question, row) for row in rows]
        return self.batch(pairs, groups, answers)

    def _as_long(self, row: int, others: Rows) -> int:
        starts = self.texts.starts
        lengths = starts[others + 1] - starts[others]
        return int(others[np.abs(lengths - (starts[row + 1] - starts[row])).argmin()])
