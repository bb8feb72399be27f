"""Answers in words, held against those that are known to be right.

The measures are those of SQuAD v1.1's official script (Rajpurkar et al. 2016, "SQuAD: 100,000+ Questions
for Machine Comprehension of Text", section 6.1): letters small, no punctuation of ASCII, no English
articles, runs of white space as one space; of several right answers, the one that an answer is nearest to.
"""

from __future__ import annotations

import json
import re
import string
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lurcher.errors import CorpusError
from lurcher.evaluation.judgements import lines, read_queries

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def exact_match(answer: str, golds: Sequence[str]) -> float:
    """1 if ``answer`` is one of ``golds``, else 0; without golds, 1 if it is empty."""
    found = _words(answer)
    return max(float(found == _words(gold)) for gold in golds or [""])


def f1(answer: str, golds: Sequence[str]) -> float:
    """The harmonic mean of precision and recall over words, 0 to 1, for the best of ``golds``.

    A word that stands twice counts twice. An answer of articles and punctuation alone has 0; without golds,
    an empty one has 1.
    """
    if not golds:
        return exact_match(answer, golds)
    return max(_f1(_words(answer), _words(gold)) for gold in golds)


def _words(text: str) -> list[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def _f1(found: list[str], gold: list[str]) -> float:
    same = (Counter(found) & Counter(gold)).total()
    return 2 * same / (len(found) + len(gold)) if same else 0.0


def read_answers(path: Path) -> dict[str, list[str]]:
    """The right answers to each query of a ``queries.jsonl`` that lists ``answers``, by id, in file order.

    An empty list says that nothing answers the query.

    Raises CorpusError for what read_queries does, for ``answers`` that are not a list of texts, and where
    no query has any.
    """
    answers: dict[str, list[str]] = {}
    for (number, line), id_ in zip(lines(path), read_queries(path), strict=True):
        found = json.loads(line).get("answers")
        if found is None:
            continue
        if not isinstance(found, list) or not all(isinstance(answer, str) for answer in found):
            raise CorpusError(path, number, "answers needs to be a list of texts")
        answers[id_] = found
    if not answers:
        raise CorpusError(path, None, "no query in it has answers")
    return answers


def calibration_error(
    scores: npt.NDArray[np.float64], right: npt.NDArray[np.float64], bins: int = 10
) -> float:
    """Expected calibration error (Naeini et al. 2015): of ``bins`` as many answers each, by score.

    The mean difference between how probable answers are by their scores and how many are right.
    """
    parts = np.array_split(np.argsort(scores, kind="stable"), bins)
    gaps = [len(p) * abs(scores[p].mean() - right[p].mean()) for p in parts if len(p)]
    return float(sum(gaps) / max(1, len(scores)))
