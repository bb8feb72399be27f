"""Spans over all passages: each is what a loop over every span finds, under one softmax."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.models.reader.spans import NOTHING, Span, best_logits, best_spans

Array = np.ndarray[Any, Any]
EVERY = 10_000


def loop(logits: Array, counts: list[int], bonus: Array, longest: int) -> tuple[list[Span], float]:
    """Every span of at most ``longest`` tokens, and the logarithm of how probable it is that none answers."""
    found, at = [], 0
    for passage, count in enumerate(counts):
        for first in range(count):
            for last in range(first, min(count, first + longest)):
                logit = logits[at + first, 0] + logits[at + last, 1] + bonus[passage]
                found.append((passage, first, last, float(logit)))
        at += count
    whole = math.log(1 + math.fsum(math.exp(logit) for *_, logit in found))
    every = [Span(passage, first, last, logit - whole) for passage, first, last, logit in found]
    return every, -whole


def without_overlap(spans: list[Span], most: int) -> list[Span]:
    """The best of ``spans``, none over a better one."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda one: -one.logarithm):
        if len(kept) < most and not any(
            span.passage == other.passage and span.first <= other.last and span.last >= other.first
            for other in kept
        ):
            kept.append(span)
    return kept


@st.composite
def cases(draw: st.DrawFn) -> tuple[Array, list[int], Array, int]:
    counts = draw(st.lists(st.integers(0, 7), min_size=1, max_size=5))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = draw(st.sampled_from([0.1, 1.0, 10.0]))
    logits = (scale * generator.standard_normal((sum(counts), 2))).astype(np.float32)
    bonus = generator.uniform(-3, 3, len(counts)).astype(np.float32)
    return logits, counts, bonus, draw(st.integers(1, 9))


def places(spans: list[Span]) -> list[tuple[int, int, int]]:
    return [(span.passage, span.first, span.last) for span in spans]


def logarithms(spans: list[Span]) -> list[float]:
    return [span.logarithm for span in spans]


@given(cases(), st.integers(1, 40))
def test_best_spans_are_those_of_a_loop_over_all(
    case: tuple[Array, list[int], Array, int], most: int
) -> None:
    logits, counts, bonus, longest = case
    every, _ = loop(logits.astype(np.float64), counts, bonus.astype(np.float64), longest)
    found = best_spans(logits, np.array(counts), bonus, longest, most)
    wanted = without_overlap(every, most)
    assert places(found) == places(wanted)
    assert logarithms(found) == pytest.approx(logarithms(wanted), abs=1e-4)


@given(cases())
def test_all_spans_and_nothing_are_sure_together(
    case: tuple[Array, list[int], Array, int],
) -> None:
    logits, counts, bonus, longest = case
    _, nothing = loop(logits.astype(np.float64), counts, bonus.astype(np.float64), longest)
    total = math.exp(nothing)
    # Each span by itself is the best where all others are out of reach.
    ends = np.cumsum(counts)
    for passage, count in enumerate(counts):
        start = int(ends[passage]) - count
        for first in range(count):
            for last in range(first, min(count, first + longest)):
                pushed = logits.copy()
                pushed[start + first, 0] += 60
                pushed[start + last, 1] += 60
                (best,) = best_spans(pushed, np.array(counts), bonus, longest, 1)
                assert (best.passage, best.first, best.last) == (passage, first, last)
                logit = logits[start + first, 0] + logits[start + last, 1] + bonus[passage]
                total += math.exp(float(logit) + nothing)
    assert total == pytest.approx(1, abs=1e-4)
    # Spans of one token rule out nothing but themselves, so all of them come out.
    singles = best_spans(logits, np.array(counts), bonus, 1, EVERY)
    assert len(singles) == sum(counts)
    _, none = loop(logits.astype(np.float64), counts, bonus.astype(np.float64), 1)
    assert sum(math.exp(s.logarithm) for s in singles) + math.exp(none) == pytest.approx(
        1, abs=1e-4
    )


@given(cases())
def test_none_overlap_none_is_too_long_and_they_fall_off(
    case: tuple[Array, list[int], Array, int],
) -> None:
    logits, counts, bonus, longest = case
    found = best_spans(logits, np.array(counts), bonus, longest, EVERY)
    taken = [(s.passage, place) for s in found for place in range(s.first, s.last + 1)]
    assert len(set(taken)) == len(taken)
    assert all(0 <= s.first <= s.last < counts[s.passage] for s in found)
    assert all(s.last - s.first < longest for s in found)
    assert logarithms(found) == sorted(logarithms(found), reverse=True)
    assert all(logarithm <= 0 for logarithm in logarithms(found))
    # Until nothing is left: every token is part of a span.
    assert len(taken) == sum(counts)


@given(cases(), st.randoms(use_true_random=False))
def test_order_of_passages_does_not_count(
    case: tuple[Array, list[int], Array, int], random: Any
) -> None:
    logits, counts, bonus, longest = case
    order = list(range(len(counts)))
    random.shuffle(order)
    parts = np.split(logits, np.cumsum(counts)[:-1])
    turned = best_spans(
        np.concatenate([parts[one] for one in order]), np.array([counts[one] for one in order]),
        bonus[order], longest, 5,
    )  # fmt: skip
    found = best_spans(logits, np.array(counts), bonus, longest, 5)
    assert [(order[s.passage], s.first, s.last) for s in turned] == places(found)
    assert logarithms(turned) == pytest.approx(logarithms(found), abs=1e-4)


def test_two_passages_compete() -> None:
    logits = np.array([[2, 2], [2, 2]], np.float32)
    alone = best_spans(logits[:1], np.array([1]), np.zeros(1, np.float32), 3, 1)
    both = best_spans(logits, np.array([1, 1]), np.zeros(2, np.float32), 3, 2)
    assert alone[0].logarithm == pytest.approx(4 - math.log(1 + math.exp(4)))
    assert logarithms(both) == pytest.approx([4 - math.log(1 + 2 * math.exp(4))] * 2)
    assert places(both) == [(0, 0, 0), (1, 0, 0)]


def test_a_bonus_moves_all_spans_of_a_passage() -> None:
    logits, counts = np.array([[1, 1], [0.5, 0.5]], np.float32), np.array([1, 1])
    plain = best_spans(logits, counts, np.zeros(2, np.float32), 3, 2)
    lifted = best_spans(logits, counts, np.array([0, 3], np.float32), 3, 2)
    assert places(plain) == [(0, 0, 0), (1, 0, 0)]
    assert places(lifted) == [(1, 0, 0), (0, 0, 0)]


def test_no_span_goes_from_one_passage_into_the_next() -> None:
    logits = np.array([[9, -9], [-9, 9]], np.float32)
    split = best_spans(logits, np.array([1, 1]), np.zeros(2, np.float32), 5, 5)
    joined = best_spans(logits, np.array([2]), np.zeros(1, np.float32), 5, 5)
    assert places(joined) == [(0, 0, 1)]
    assert places(split) == [(0, 0, 0), (1, 0, 0)]


def test_passages_without_tokens_have_no_spans() -> None:
    none = np.zeros((0, 2), np.float32)
    assert best_spans(none, np.zeros(3, np.int64), np.zeros(3, np.float32), 5, 5) == []
    assert best_spans(none, np.zeros(0, np.int64), np.zeros(0, np.float32), 5, 5) == []
    found = best_spans(
        np.ones((1, 2), np.float32), np.array([0, 1, 0]), np.zeros(3, np.float32), 5, 5
    )
    assert places(found) == [(1, 0, 0)]
    assert (
        best_spans(np.ones((1, 2), np.float32), np.array([1]), np.zeros(1, np.float32), 5, 0) == []
    )


@pytest.mark.parametrize("size", [1e-6, 500.0, 1e4])
def test_logits_of_any_size(size: float) -> None:
    logits = np.array([[-size, -size], [size, -size], [-size, size]], np.float32)
    found = best_spans(logits, np.array([3]), np.zeros(1, np.float32), 3, 9)
    assert places(found)[0] == (0, 1, 2)
    assert np.isfinite(logarithms(found)).all()
    low = best_spans(
        np.full((2, 2), -size, np.float32), np.array([2]), np.zeros(1, np.float32), 3, 9
    )
    assert np.isfinite(logarithms(low)).all()


def test_what_is_given_is_not_written_to() -> None:
    logits, counts, bonus = np.ones((3, 2), np.float32), np.array([3]), np.ones(1, np.float32)
    best_spans(logits, counts, bonus, 2, 5)
    assert (logits == 1).all()
    assert (bonus == 1).all()


@given(cases())
def test_the_best_logit_of_a_passage_is_that_of_its_best_span(
    case: tuple[Array, list[int], Array, int],
) -> None:
    logits, counts, bonus, longest = case
    spans, nothing = loop(logits, counts, np.zeros_like(bonus), longest)
    found = best_logits(logits, np.array(counts), longest)
    for passage in range(len(counts)):
        own = [span.logarithm - nothing for span in spans if span.passage == passage]
        assert found[passage] == pytest.approx(max(own, default=NOTHING), abs=1e-4)
