"""What is known of an answer, and what a reader's weights make of it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.models.reader.answers import Answer, answers_of, probability
from lurcher.models.reader.evidence import WEIGHED, Evidence, evidence_of, logit_of
from lurcher.models.reader.spans import Span


def test_weights_are_of_all_that_is_known_but_the_odds() -> None:
    assert ("odds", *WEIGHED) == Evidence._fields


def test_evidence_of_each_answer() -> None:
    spans = [Span(passage, 0, 1, math.log(p)) for passage, p in ((0, 0.5), (1, 0.2), (2, 0.1))]
    found = answers_of(spans, ["Rome", "Oslo", "rome"])
    best, other = evidence_of(found, [3.0, -40.0], [0.7, 0.4], True)
    assert best.odds == pytest.approx(math.log(0.6 / 0.4))
    assert (best.margin, best.search, best.question) == (3.0, 0.7, 1.0)
    assert best.agreement == pytest.approx(math.log(2))
    assert best.rival == pytest.approx(math.log(3))
    # A rival's rival is the best; and what is far below nothing is no further than says anything.
    assert (other.rival, other.agreement) == (pytest.approx(-math.log(3)), 0.0)
    assert -20 < other.margin < -10


def test_an_answer_alone_has_no_rival() -> None:
    (alone,) = evidence_of([Answer(Span(0, 0, 0, -1.0), "x", -1.0)], [0.0], [0.0], False)
    assert 10 < alone.rival < 20
    assert alone.question == 0.0
    assert evidence_of([], [], [], True) == []


@given(st.floats(-700, 0), st.floats(0.01, 5), st.floats(-5, 5))
def test_odds_alone_are_scaled_as_ever(logarithm: float, slope: float, offset: float) -> None:
    answer = Answer(Span(0, 0, 0, logarithm), "x", logarithm)
    (one,) = evidence_of([answer], [9.0], [0.5], True)
    logit = logit_of(one, slope, offset, {})
    assert 1 / (1 + math.exp(-logit)) == pytest.approx(probability(logarithm, slope, offset))
    more = logit_of(one, slope, offset, {"margin": 0.5, "question": -1.0})
    assert more == pytest.approx(logit + 0.5 * one.margin - 1.0)
