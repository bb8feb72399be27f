"""From spans to answers and probabilities: what says the same counts together, and sure is sure."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.models.reader.answers import answers_of, log_odds, probability
from lurcher.models.reader.spans import Span

LOGARITHMS = st.floats(-800, 0)


def span(logarithm: float, passage: int = 0, first: int = 0) -> Span:
    return Span(passage, first, first + 1, logarithm)


def test_spans_that_say_the_same_are_one_answer() -> None:
    spans = [
        span(math.log(0.3)), span(math.log(0.25), 1), span(math.log(0.2), 2), span(math.log(0.1), 3)
    ]  # fmt: skip
    found = answers_of(spans, ["Paris", "Lyon", "LYON", " lyon\n"])
    assert [answer.text for answer in found] == ["Lyon", "Paris"]
    assert [math.exp(answer.logarithm) for answer in found] == pytest.approx([0.55, 0.3])
    # The best of those that say so stands for them, with its own words.
    assert found[0].span is spans[1]
    later = answers_of([span(-3.0, 4), span(-1.0, 5)], ["new  York", "New York"])
    assert [(answer.text, answer.span.passage) for answer in later] == [("New York", 5)]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Straße", "STRASSE", True),
        ("a b", "a\u00a0 b", True),
        ("ab", "a b", False),
        ("café", "cafe", False),
        ("1.5", "1,5", False),
    ],
)
def test_letter_case_and_blanks_alone_do_not_count(one: str, other: str, same: bool) -> None:
    assert (len(answers_of([span(-1.0), span(-2.0, 1)], [one, other])) == 1) == same


def test_spans_without_words_say_nothing() -> None:
    assert answers_of([], []) == []
    assert answers_of([span(-0.1), span(-0.2), span(-3.0)], ["", " \n\u3000", "x"])[0].text == "x"


@given(st.lists(st.tuples(LOGARITHMS, st.sampled_from(["a", "A", "b", " b", "c d", "c  D", ""]))))
def test_answers_keep_what_spans_with_words_have_and_fall_off(
    pairs: list[tuple[float, str]],
) -> None:
    spans = [span(logarithm, place) for place, (logarithm, _) in enumerate(pairs)]
    found = answers_of(spans, [text for _, text in pairs])
    kept = [answer.logarithm for answer in found]
    assert kept == sorted(kept, reverse=True)
    said = [" ".join(answer.text.casefold().split()) for answer in found]
    assert len(set(said)) == len(said) == len({t.strip().lower()[:1] for _, t in pairs} - {""})
    wanted = math.fsum(math.exp(logarithm) for logarithm, text in pairs if text)
    assert math.fsum(math.exp(one) for one in kept) == pytest.approx(wanted)
    for answer in found:
        assert pairs[answer.span.passage] == (answer.span.logarithm, answer.text)
        assert answer.logarithm >= answer.span.logarithm


@given(st.floats(1e-6, 1 - 1e-6))
def test_log_odds_are_of_the_probability(p: float) -> None:
    assert log_odds(math.log(p)) == pytest.approx(math.log(p / (1 - p)), abs=1e-6)


def test_log_odds_are_clipped_both_ways() -> None:
    assert log_odds(-math.inf) == log_odds(-1e6) == pytest.approx(-20.723, abs=1e-3)
    assert log_odds(0.0) == log_odds(1e-12) == pytest.approx(20.723, abs=1e-3)


@given(LOGARITHMS, LOGARITHMS, st.floats(1e-3, 50), st.floats(-50, 50))
def test_probabilities_are_in_the_order_of_logarithms(
    one: float, other: float, slope: float, offset: float
) -> None:
    low, high = sorted((one, other))
    assert log_odds(low) <= log_odds(high)
    found = [probability(logarithm, slope, offset) for logarithm in (low, high)]
    assert 0 <= found[0] <= found[1] <= 1


@given(st.floats(1e-6, 1 - 1e-6))
def test_slope_one_and_offset_zero_change_nothing(p: float) -> None:
    assert probability(math.log(p), 1, 0) == pytest.approx(p, abs=1e-6)


def test_slope_and_offset_are_of_the_log_odds() -> None:
    wanted = 1 / (1 + math.exp(-(0.5 * math.log(0.8 / 0.2) - 1)))
    assert probability(math.log(0.8), 0.5, -1) == pytest.approx(wanted)


@pytest.mark.parametrize("slope", [1e-9, 1.0, 100.0, 1e300])
@pytest.mark.parametrize("offset", [-1e300, -1e3, 0.0, 1e3])
def test_whatever_a_strangers_reader_says_is_a_probability(slope: float, offset: float) -> None:
    for logarithm in (-math.inf, -50.0, -1e-3, 0.0):
        assert 0 <= probability(logarithm, slope, offset) <= 1
