"""How well vectors retrieve: against judges, and against the teacher's own findings."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("ir_measures", reason="the extra [eval] is not installed")

from lurcher.training.alignment.development import Development, agreement

Vectors = npt.NDArray[np.float32]
PASSAGES = np.eye(5, dtype=np.float32)
IDS = ["a", "b", "c", "d", "e"]


def ranking(order: str) -> Vectors:
    """The query that finds the passages in this order."""
    scores = {id_: 1.0 - place / 10 for place, id_ in enumerate(order)}
    return np.array([scores[id_] for id_ in IDS], np.float32)


def encode(texts: Sequence[str]) -> Vectors:
    """Queries whose text is the order that they find."""
    return np.stack([ranking(text) for text in texts])


def test_quality_is_the_mean_over_the_judged_queries_that_have_a_text() -> None:
    queries = {"first": "abcde", "third": "bcade", "unjudged": "edcba"}
    qrels = {"first": {"a": 1}, "third": {"a": 1, "e": 0}, "lost": {"a": 1}}
    data = Development("test", PASSAGES, IDS, queries, qrels)
    assert data.quality(encode) == pytest.approx((1 + 1 / log2(4)) / 2)


def test_another_measure_can_be_asked_for() -> None:
    data = Development("test", PASSAGES, IDS, {"q": "bcade"}, {"q": {"a": 1}}, "MRR@10")
    assert data.quality(encode) == pytest.approx(1 / 3)


def test_a_passage_that_is_not_there_is_not_found() -> None:
    data = Development("test", PASSAGES, IDS, {"q": "abcde"}, {"q": {"elsewhere": 1}})
    assert data.quality(encode) == 0


def test_the_teacher_agrees_with_itself_and_others_the_less_the_further_they_are() -> None:
    texts = ["abcde", "edcba", "cbade"]
    data = agreement("held out", PASSAGES, texts, encode, k=2)
    assert (data.name, data.measure) == ("held out", "nDCG@10")
    assert data.quality(encode) == 1
    # Both are found, one of them a place too late.
    swapped = data.quality(lambda texts: encode([t[0] + t[2] + t[1] + t[3:] for t in texts]))
    backwards = data.quality(lambda texts: encode([t[::-1] for t in texts]))
    assert swapped == pytest.approx((1 + 1 / log2(4)) / (1 + 1 / log2(3)))
    assert backwards < swapped < 1


def test_among_fewer_passages_than_asked_for_all_are_relevant() -> None:
    data = agreement("few", PASSAGES, ["abcde"], encode, k=10)
    assert data.qrels == {"0": dict.fromkeys(["0", "1", "2", "3", "4"], 1)}
    assert data.quality(lambda texts: encode(["edcba"] * len(texts))) == 1
