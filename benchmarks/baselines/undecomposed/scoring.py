"""Answers from logits, and how right they are, on the paragraph that each question was about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lurcher.benchmarks.baselines.pairs import Pair
from lurcher.benchmarks.baselines.undecomposed.network import Logits, PairTokenizer
from lurcher.benchmarks.baselines.undecomposed.questions import GoldQuestion
from lurcher.evaluation.answer_measures import exact_match, f1
from lurcher.models.reader.spans import best_spans

LONGEST_ANSWER = 30  # tokens

_CHUNK = 256  # questions read at a time

Read = Callable[[Sequence[Pair]], list[Logits]]


@dataclass(frozen=True, slots=True)
class Quality:
    """What was answered to each question, in order, and how right it is: (n,) each."""

    answers: list[str]
    exact: npt.NDArray[np.float64]
    f1: npt.NDArray[np.float64]


def measure(tokenizer: PairTokenizer, read: Read, questions: Sequence[GoldQuestion]) -> Quality:
    """How right the best span of each question's paragraph is; that nothing answers is no answer here."""
    found = list(_answers(tokenizer, read, questions))
    both = list(zip(found, (one.answers for one in questions), strict=True))
    return Quality(
        found,
        np.array([exact_match(answer, golds) for answer, golds in both]),
        np.array([f1(answer, golds) for answer, golds in both]),
    )


def _answers(
    tokenizer: PairTokenizer, read: Read, questions: Sequence[GoldQuestion]
) -> Iterator[str]:
    for first in range(0, len(questions), _CHUNK):
        chunk = questions[first : first + _CHUNK]
        logits = read([tokenizer.pair(one.question, one.read) for one in chunk])
        yield from (words(one, of) for one, of in zip(chunk, logits, strict=True))


def words(questions: GoldQuestion, logits: Logits) -> str:
    """The likeliest answer in the question's paragraph; "" where nothing is read of that."""
    counts, bonus = np.array([len(logits)]), np.zeros(1, np.float32)
    for span in best_spans(logits, counts, bonus, LONGEST_ANSWER, 1):
        start, end = questions.read.spans[span.first][0], questions.read.spans[span.last][1]
        return questions.passage.content[start:end]
    return ""
