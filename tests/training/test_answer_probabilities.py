"""What a reader's answers are worth: the weight of search scores, probabilities, and when to say nothing."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("transformers", reason="the [train] extra is not installed")

import torch

from lurcher.bundle.bundle import Bundle
from lurcher.evaluation.answer_measures import calibration_error, exact_match
from lurcher.models.reader.answers import Answer, probability
from lurcher.models.reader.reader import Reader as Served
from lurcher.models.reader.reader import load_reader_config
from lurcher.models.reader.spans import Span, best_spans
from lurcher.training.reader import calibrate as calibrating
from lurcher.training.reader.batches import Library
from lurcher.training.reader.calibrate import Development, Read, calibrate, fit_logistic
from lurcher.training.reader.export import calibration_of, export_reader
from lurcher.training.reader.network import Reader, Shape
from lurcher.training.reader.reliability import write_reliability
from lurcher.training.reader.train import calibrated
from tests.training.reading import (
    ASKED,
    asked_of,
    description,
)

Array = np.ndarray[Any, Any]
SHAPE = Shape(32, 16, 2, 1, 16)
WEIGHTS = calibrating._WEIGHTS


@pytest.fixture
def reader() -> Callable[[], Reader]:
    """Makes an untrained one, the same each time."""

    def make() -> Reader:
        torch.manual_seed(0)
        return Reader(SHAPE)

    return make


# --- what answers are worth


@given(
    slope=st.floats(0.05, 2.5), offset=st.floats(-3, 3), spread=st.floats(1, 12), seed=st.integers(0, 99)
)  # fmt: skip
def test_slope_and_offset_are_found_again(
    slope: float, offset: float, spread: float, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    odds = np.clip(draw.normal(1, spread, 2_000), -20.7, 20.7)
    p = 1 / (1 + np.exp(-(slope * odds + offset)))
    found = fit_logistic(odds, (draw.random(len(odds)) < p).astype(float))
    # By how sure so many answers make one, from Fisher's information.
    x = np.stack([odds, np.ones_like(odds)], axis=1)
    error = np.sqrt(np.diag(np.linalg.inv((x * (p * (1 - p))[:, None]).T @ x)))
    assert found == pytest.approx((slope, offset), abs=float(5 * error.max() + 0.01))
    again = 1 / (1 + np.exp(-(found[0] * odds + found[1])))
    assert np.abs(again - p).mean() < 0.05


@pytest.mark.parametrize("right", [0.0, 1.0])
@pytest.mark.parametrize("odds", [np.linspace(-3, 9, 40), np.full(40, 20.7), np.zeros(0)])
def test_odds_that_settle_nothing_give_numbers_all_the_same(odds: Array, right: float) -> None:
    slope, offset = fit_logistic(odds, np.full(len(odds), right))
    assert slope > 0
    assert math.isfinite(slope)
    assert math.isfinite(offset)


def test_odds_that_are_far_too_sure_are_taken_back() -> None:
    right = np.array([1.0] * 30 + [0.0] * 20)
    slope, offset = fit_logistic(np.full(50, 20.7), right)
    assert 1 / (1 + math.exp(-(slope * 20.7 + offset))) == pytest.approx(0.6, abs=0.01)


def test_calibrated_scores_are_near_and_constant_wrong_ones_far() -> None:
    draw = np.random.default_rng(0)
    scores = draw.random(20_000)
    right = (draw.random(len(scores)) < scores).astype(float)
    assert calibration_error(scores, right) < 0.02
    assert calibration_error(scores**3, right) > 0.15
    ones = np.ones(50)
    assert calibration_error(0.9 * ones, 0 * ones) == pytest.approx(0.9)
    assert calibration_error(0.9 * ones, ones) == pytest.approx(0.1)
    # Too high for some and too low for others does not even out.
    halves = np.repeat([0.2, 0.8], 50)
    assert calibration_error(halves, np.repeat([0.5, 0.5], 50)) == pytest.approx(0.3)
    assert calibration_error(scores[:3], np.ones(3)) == pytest.approx((1 - scores[:3]).mean())
    assert calibration_error(ones[:0], ones[:0]) == 0


@pytest.mark.parametrize("count", [0, 1, 7, 500])
def test_reliability_is_drawn_of_tenths(tmp_path: Path, count: int) -> None:
    scores = np.random.default_rng(0).random(count)
    write_reliability(scores, (scores > 0.5).astype(float), tmp_path / "r.svg")
    picture = (tmp_path / "r.svg").read_text()
    drawn = re.findall(r'<g id="answers">(.*?)<g id=', picture, re.DOTALL)  # none of no answers
    assert "".join(drawn).count("<use ") == min(count, 10)
    assert "nan" not in picture


class Said:
    """Stands for Development: of 200 questions so many are answered right at each weight, and how sure."""

    def __init__(self, right: dict[float, float]) -> None:
        self.right = right
        draw = np.random.default_rng(0)
        self.odds = draw.normal(2, 3, 200)
        # What is said with more assurance is right more often.
        self.rank = np.argsort(np.argsort(-(self.odds + draw.normal(0, 2, 200)))) / 200

    def best(self, read: Read, weight: float, _: int, *, answerable: bool = True) -> Answer | None:
        number = int(read.rows[0])
        odds = self.odds[number] - (0 if answerable else 4)
        if number % 50 == 0:
            return None
        text = "yes" if answerable and self.rank[number] < self.right.get(weight, 0.1) else "no"
        return Answer(Span(0, 0, 0, -1.0), text, -math.log1p(math.exp(-odds)))


def read_of(number: int) -> Read:
    one = np.zeros(1, np.float32)
    rows, right = np.array([number]), np.array([0])
    return Read(np.zeros((1, 2), np.float32), np.array([1]), rows, one, right, ["yes"])


def calibrated_by(said: Said) -> tuple[Any, list[Read]]:
    read = [read_of(number) for number in range(200)]
    return calibrate(cast(Development, said), read, 5), read


def test_the_weight_that_answers_most_is_chosen_and_the_least_of_equals() -> None:
    _, little, some, more, most, *_ = WEIGHTS
    found, _ = calibrated_by(Said({little: 0.3, some: 0.6, more: 0.6, most: 0.5}))
    assert found.rank_weight == some
    none, _ = calibrated_by(Said({}))
    assert none.rank_weight == WEIGHTS[0] == 0


def test_probabilities_are_calibrated_and_the_threshold_holds_back_as_many_as_it_lets_through() -> (
    None
):
    said = Said({WEIGHTS[2]: 0.6})
    found, read = calibrated_by(said)
    answers = [said.best(one, found.rank_weight, 5) for one in read]
    scores = np.array([probability(a.logarithm, found.slope, found.offset) for a in answers if a])
    right = np.array([exact_match(a.text, ["yes"]) for a in answers if a])
    assert found.figures["EM"] == pytest.approx(right.sum() / 200)
    assert found.figures["F1"] == found.figures["EM"]
    assert scores.mean() == pytest.approx(right.mean(), abs=0.01)
    assert found.figures["calibration_error"] == pytest.approx(
        calibration_error(scores, right), abs=1e-4
    )
    assert found.figures["calibration_error"] < 0.1
    assert 0 < found.min_score < 1
    given = (scores[right > 0] >= found.min_score).mean()
    silent = 1 - np.mean(
        [
            (a := said.best(one, WEIGHTS[2], 5, answerable=False)) is not None
            and probability(a.logarithm, found.slope, found.offset) >= found.min_score
            for one in read
        ]
    )
    assert given == pytest.approx(found.figures["right_answers_given"], abs=0.01)
    assert silent == pytest.approx(found.figures["wrong_passages_silent"], abs=0.01)
    assert given == pytest.approx(silent, abs=0.1)


def test_a_reader_that_is_never_right_gets_finite_figures_and_says_nothing() -> None:
    found, _ = calibrated_by(Said(dict.fromkeys(WEIGHTS, 0.0)))
    assert found.figures["EM"] == 0
    assert all(math.isfinite(value) for value in found.figures.values())
    assert found.figures["wrong_passages_silent"] > 0.9


@pytest.fixture(scope="module")
def served(library: Library, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported reader of random weights."""
    folder = tmp_path_factory.mktemp("served")
    torch.manual_seed(5)
    model = Reader(SHAPE).eval()
    with torch.no_grad():
        model.head.weight *= 8
    export_reader(model, description(), folder, calibration_of(library, 20, 0))
    return folder


def test_development_reads_what_a_search_finds(
    answering: Bundle, library: Library, served: Path
) -> None:
    asked, answers = asked_of(answering)
    fewer = {id_: said for id_, said in answers.items() if id_ != "q3"}
    development = Development(answering, library, asked, fewer)
    reader = Served.load(served, 1)
    read = development.read(reader, 4, 50, 0)
    assert len(read) == ASKED - 1
    questions, texts = library.questions, library.texts
    for one, number in zip(read, [n for n in range(ASKED) if n != 3], strict=True):
        np.testing.assert_array_equal(one.rows, questions.rows[number][:4])
        np.testing.assert_array_equal(one.scores, questions.prior[number][:4])
        assert one.relevant.tolist() == [number]
        assert one.answers == answers[f"q{number}"]
        assert one.counts.tolist() == np.diff(texts.starts)[one.rows].tolist()
        assert len(one.logits) == one.counts.sum()
        # As the service reads them.
        best = development.best(one, 7.0, 24)
        spans = best_spans(one.logits, one.counts, 7 * one.scores, 24, 50)
        assert best is not None
        assert best.span in spans  # not always the first, whose words may say nothing
        assert best.logarithm >= best.span.logarithm
        content = answering.passages.get([int(one.rows[best.span.passage])])[0].content
        assert best.text
        assert best.text in content
        assert content.split()  # the passage without words answers nothing
        # What the passages that answer say is not heard where they are left out.
        without = development.best(one, 7.0, 24, answerable=False)
        assert without is not None
        kept = one.rows[one.rows != number]
        assert 0 <= without.span.passage < len(kept)
        row = int(kept[without.span.passage])
        assert without.text in answering.passages.get([row])[0].content
    assert len(development.read(reader, 4, 5, 0)) in (4, 5)


def test_development_of_nothing_but_answers(
    answering: Bundle, library: Library, served: Path
) -> None:
    development = Development(answering, library, *asked_of(answering))
    (read, *_) = development.read(Served.load(served, 1), 2, 5, 0)
    every = replace(read, relevant=read.rows)
    assert development.best(every, 0.0, 24) is not None
    assert development.best(every, 0.0, 24, answerable=False) is None


def test_a_readers_description_is_brought_up_to_date(
    answering: Bundle, library: Library, served: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "reader"
    shutil.copytree(served, folder)
    development = Development(answering, library, *asked_of(answering))
    found = calibrated(folder, development, {"EM": 0.123456, "F1": 0.5})
    assert load_reader_config(folder) == found
    assert found.figures["gold_EM"] == 0.1235
    assert {"open_EM", "open_F1", "open_calibration_error"} <= found.figures.keys()
    assert found.calibrated_on == f"20 development questions on {answering.manifest.name}"
    assert found.calibration_corpus == answering.manifest.corpus_hash
    kept = {
        "rank_weight", "slope", "offset", "min_score", "calibrated_on", "calibration_corpus", "figures",
    }  # fmt: skip
    assert found.model_dump(exclude=kept) == description().model_dump(exclude=kept)
    assert found.rank_weight in WEIGHTS
    assert (folder / "reliability.svg").exists()
