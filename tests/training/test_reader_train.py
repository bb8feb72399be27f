"""Training a reader: its loss, what it learns by heart, going on after a kill, and what answers are worth."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("transformers", reason="the [train] extra is not installed")

import torch

from lurcher.bundle.bundle import Bundle
from lurcher.evaluation.answers import calibration_error, exact_match
from lurcher.index_builder.build import BuildOptions, build
from lurcher.models.errors import CorpusError, FieldError, LurcherError, ModelError
from lurcher.models.reader.answers import Answer, probability
from lurcher.models.reader.reader import Reader as Served
from lurcher.models.reader.reader import load_reader_config
from lurcher.models.reader.reader_reference import reference_logits
from lurcher.models.reader.spans import Span, best_spans
from lurcher.training.ranker.train import Sources
from lurcher.training.reader import calibrate as calibrating
from lurcher.training.reader.batches import Library
from lurcher.training.reader.calibrate import Development, Read, calibrate, fit_logistic
from lurcher.training.reader.export import calibration_of, export_reader
from lurcher.training.reader.loop import span_loss, train
from lurcher.training.reader.quality import Reading
from lurcher.training.reader.reader import Reader, Shape
from lurcher.training.reader.reliability import write_reliability
from lurcher.training.reader.train import Plan, calibrated, train_reader
from lurcher.training.run import Point
from tests.training.reading import (
    ASKED,
    BITS,
    asked_of,
    description,
    small_schedule,
    write_sources,
)

Array = np.ndarray[Any, Any]
SHAPE = Shape(32, 16, 2, 1, 16)
PLAN = Plan(16, 2, 1, 16, small_schedule())
WEIGHTS = calibrating._WEIGHTS


class KilledError(Exception):
    """Stands for a kill."""


@pytest.fixture(scope="module")
def reading(answering: Bundle, library: Library) -> Reading:
    return Reading.of(answering, library, *asked_of(answering))


@pytest.fixture
def reader() -> Callable[[], Reader]:
    """Makes an untrained one, the same each time."""

    def make() -> Reader:
        torch.manual_seed(0)
        return Reader(SHAPE)

    return make


@pytest.fixture
def files(tmp_path: Path, answering: Bundle) -> Sources:
    return write_sources(tmp_path, answering)


# --- the loss


def loss_by_hand(logits: Array, groups: Array, answers: Array) -> float:
    """The mean over questions, starts and ends, one after the other."""
    parts = []
    for group, answer in zip(groups.tolist(), answers.tolist(), strict=True):
        for side in (0, 1):
            every = [logits[place, :, side] for place in group if place >= 0]
            whole = math.log(1 + np.exp(np.concatenate(every)).sum())  # 1 is of nothing at all
            said = logits[group[0], answer[side], side] if answer[side] >= 0 else 0.0
            parts.append(whole - said)
    return float(np.mean(parts))


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=5), st.integers(0, 2**32 - 1)
)  # fmt: skip
def test_loss_is_that_of_a_loop(kinds: list[tuple[bool, bool]], seed: int) -> None:
    draw = np.random.default_rng(seed)
    groups, answers, rows = [], [], 0
    for two, nothing in kinds:
        groups.append([rows, rows + 1 if two else -1])
        rows += 1 + two
        first = int(draw.integers(0, 4))
        answers.append([-1, -1] if nothing else [first, int(draw.integers(first, 4))])
    logits = draw.normal(0, 3, (rows, 7, 2)).astype(np.float32)
    logits[:, 4:][draw.random((rows, 3)) < 0.5] = -1e4  # padding
    given = torch.from_numpy(logits).requires_grad_()
    loss = span_loss(given, torch.tensor(groups), torch.tensor(answers))
    wanted = loss_by_hand(logits.astype(np.float64), np.array(groups), np.array(answers))
    assert loss.item() == pytest.approx(wanted, rel=1e-4, abs=1e-5)
    loss.backward()
    assert given.grad is not None
    assert given.grad.isfinite().all()
    assert not given.grad[given <= -1e4].any()


def test_passages_of_a_group_share_one_softmax_and_those_of_others_do_not() -> None:
    logits = torch.full((3, 2, 2), 1.0)
    answer, alone = torch.tensor([[0, 1]]), torch.tensor([[0, -1]])
    single = span_loss(logits, alone, answer).item()
    assert single == pytest.approx(math.log(1 + 2 * math.e) - 1)
    both = span_loss(logits, torch.tensor([[0, 1]]), answer).item()
    assert both == pytest.approx(math.log(1 + 4 * math.e) - 1)
    # The last passage is not meant by -1.
    logits[2] = 50
    assert span_loss(logits, alone, answer).item() == pytest.approx(single)


def test_nothing_answers_where_all_logits_are_low() -> None:
    groups, none = torch.tensor([[0, 1]]), torch.tensor([[-1, -1]])
    low, high = (span_loss(torch.full((2, 3, 2), x), groups, none).item() for x in (-9.0, 9.0))
    assert low == pytest.approx(0, abs=1e-3)
    assert high == pytest.approx(9 + math.log(6), abs=1e-3)


# --- the loop


def test_training_learns_by_heart(
    library: Library, reading: Reading, reader: Callable[[], Reader], tmp_path: Path
) -> None:
    schedule = small_schedule(steps=100, batch=20, learning_rate=1e-2, mean=0.8, checks=4)
    model = reader()
    before = reading.quality(model.eval())
    curve = train(model, library, reading.quality, schedule, tmp_path)
    measured = [point for point in curve if point.quality is not None]
    assert [point.step for point in measured] == [25, 50, 75, 100]
    first, last = curve[0].loss, curve[-1].loss
    assert first is not None
    assert last is not None
    assert last < 0.5 * first
    # What is kept is what did best.
    after = reading.quality(model)
    assert after["F1"] == pytest.approx(max(p.quality["F1"] for p in measured if p.quality))
    assert after["F1"] > max(0.8, before["F1"] + 0.3)
    assert not model.training


def test_run_that_was_killed_ends_as_one_in_one_go(
    library: Library, reading: Reading, reader: Callable[[], Reader], tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    # Of five batches an epoch, so that it is killed within one, and in another than the first.
    schedule = small_schedule(steps=12, checks=3)
    one = reader()
    curve = train(one, library, reading.quality, schedule, whole)

    def kill(point: Point) -> None:
        if point.step == 12:
            raise KilledError

    with pytest.raises(KilledError):
        train(reader(), library, reading.quality, schedule, parts, report=kill)
    seen: list[int] = []
    other = reader()
    again = train(
        other, library, reading.quality, schedule, parts, report=lambda p: seen.append(p.step)
    )
    assert seen == [12]  # from 8 on
    assert again == curve
    ends = [torch.load(f / "checkpoint.pt", weights_only=True) for f in (whole, parts)]
    for kind in ("model", "mean", "best_weights"):
        for name, part in ends[0][kind].items():
            assert torch.equal(part, ends[1][kind][name]), (kind, name)
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))


def test_the_seed_decides(
    library: Library, reading: Reading, reader: Callable[[], Reader], tmp_path: Path
) -> None:
    made = []
    for number, seed in enumerate((0, 0, 1)):
        folder = tmp_path / str(number)
        folder.mkdir()
        train(model := reader(), library, reading.quality, small_schedule(seed=seed), folder)
        made.append(model.head.weight)
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_diverging_is_said(
    library: Library, reading: Reading, reader: Callable[[], Reader], tmp_path: Path
) -> None:
    model = reader()
    with torch.no_grad():
        model.head.bias.fill_(float("nan"))
    with pytest.raises(ModelError, match="step 1: the loss is nan: training diverged"):
        train(model, library, reading.quality, small_schedule(), tmp_path)


# --- how well it reads


def test_quality_is_of_the_words_of_the_best_span(library: Library, reading: Reading) -> None:
    found = library.answered

    class Sure(Reading):
        """Whose logits say where the answer is, or a token later."""

        late = 0

        def logits(self, _: Reader) -> list[Array]:
            given = []
            for number, spans in enumerate(self.spans):
                logits = np.zeros((len(spans), 2), np.float32)
                logits[found.first[number] + self.late, 0] = 9
                logits[found.last[number] + self.late, 1] = 9
                given.append(logits)
            return given

    sure = Sure(*(getattr(reading, f.name) for f in fields(Reading)))
    nobody = cast(Reader, None)
    assert sure.quality(nobody) == {"EM": 1.0, "F1": 1.0}
    Sure.late = 1  # a word of two is wrong
    late = sure.quality(nobody)
    assert late["EM"] == 0
    assert 0.3 < late["F1"] < 0.6


def test_logits_are_of_each_questions_own_passage(
    library: Library, reading: Reading, reader: Callable[[], Reader], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr("lurcher.training.reader.quality.in_bfloat16", lambda _: nullcontext())
    model, questions, texts = reader().eval(), library.questions, library.texts
    weights = {name: part.numpy() for name, part in model.state_dict().items()}
    for number, logits in enumerate(reading.logits(model)):
        own, row = questions.tokens(number), int(library.answered.rows[number])
        codes, _ = library.store.gather(np.array([row]))
        ids, places = texts.ids[texts.of(row)], texts.places[texts.of(row)]
        wanted = reference_logits(
            weights, 2, library.coder.query(np.asarray(library.states[own], np.float32)),
            np.asarray(questions.weights[own]), library.coder.decode(codes, ids), places,
        )  # fmt: skip
        np.testing.assert_allclose(logits, wanted, atol=1e-4)


# --- what answers are worth


@settings(deadline=None, max_examples=15)
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
    assert picture.count("<circle") == min(count, 10)
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
        spans = best_spans(one.logits, one.counts, 7 * one.scores, 24, 1)
        assert best is not None
        assert best.logarithm >= spans[0].logarithm
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
    kept = {"rank_weight", "slope", "offset", "min_score", "figures"}
    assert found.model_dump(exclude=kept) == description().model_dump(exclude=kept)
    assert found.rank_weight in WEIGHTS
    assert (folder / "reliability.svg").exists()


# --- from files to a folder


def test_reader_from_files(
    answering_path: Path, files: Sources, answering: Bundle, tmp_path: Path
) -> None:
    out, lines = tmp_path / "out", list[str]()
    config = train_reader(answering_path, files, out, PLAN, "mine", lines.append)
    assert {file.name for file in out.iterdir()} == {
        "reader.onnx", "reader.json", "curve.csv", "curve.svg", "reliability.svg",
    }  # fmt: skip
    assert not out.with_name("out.partial").exists()
    assert Served.load(out, 1).config == config
    assert (config.name, config.bits, config.width, config.layers) == ("mine", BITS, 16, 1)
    assert config.encoder == answering.manifest.encoder.fingerprint
    assert config.questions == ASKED
    assert config.steps in (2, 4, 6)
    assert config.figures.keys() >= {"gold_EM", "gold_F1", "open_EM", "open_F1"}
    assert lines[0] == "development: 6 of 6 searched"
    assert any(line.startswith("step 6 of 6: loss ") and "F1 " in line for line in lines)
    assert (out / "curve.csv").read_text().startswith("step,loss,EM,F1\n2,")
    with pytest.raises(FieldError, match="exists already"):
        train_reader(answering_path, files, out, PLAN)


def test_what_was_trained_answers_in_a_bundle(
    answering_path: Path, files: Sources, teacher: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    config = train_reader(answering_path, files, out, PLAN)
    assert config.name == "out"
    options = BuildOptions(teacher, answers=True, reader=out)
    manifest = build(answering_path.parent / "corpus.jsonl", tmp_path / "new.lurcher", options)
    assert manifest.reader == config
    assert manifest.reading is not None
    assert manifest.reading.bits == BITS
    with closing(Bundle.open(tmp_path / "new.lurcher")) as bundle:
        assert bundle.span_reader(1) is not None


def test_killed_command_goes_on_and_another_plan_starts_afresh(
    answering_path: Path, files: Sources, tmp_path: Path
) -> None:
    whole = train_reader(answering_path, files, tmp_path / "whole", PLAN, "same")
    out = tmp_path / "out"

    def killed(plan: Plan, at: str) -> list[str]:
        lines: list[str] = []

        def report(line: str) -> None:
            lines.append(line)
            if line.startswith(at):
                raise KilledError

        with pytest.raises(KilledError):
            train_reader(answering_path, files, out, plan, "same", report)
        assert not out.exists()
        return [line.split(":")[0] for line in lines]

    assert killed(PLAN, "step 4") == ["development", "questions", "step 2 of 6", "step 4 of 6"]
    # After the last step, while development questions are read, nothing is trained again.
    reading = "reading what searches for the development questions find"
    assert killed(PLAN, "reading what") == ["step 4 of 6", "step 6 of 6", reading]
    assert train_reader(answering_path, files, out, PLAN, "same") == whole
    assert (out / "curve.csv").read_text() == (tmp_path / "whole" / "curve.csv").read_text()
    assert (out / "reader.onnx").read_bytes() == (tmp_path / "whole" / "reader.onnx").read_bytes()
    shutil.rmtree(out)
    killed(PLAN, "step 4")
    assert killed(Plan(20, 2, 1, 16, small_schedule()), "step 2")[0] == "development"


def test_other_answers_start_afresh(answering_path: Path, files: Sources, tmp_path: Path) -> None:
    lines: list[str] = []

    def report(line: str) -> None:
        lines.append(line)
        if line.startswith("step 4"):
            raise KilledError

    for _ in range(2):
        with pytest.raises(KilledError):
            train_reader(answering_path, files, tmp_path / "out", PLAN, None, report)
        first = json.loads(files.queries.read_text().splitlines()[0])
        rest = files.queries.read_text().splitlines()[1:]
        first["answers"] = first["answers"][:1]
        files.queries.write_text("\n".join([json.dumps(first), *rest]) + "\n")
    assert lines.count("questions: 20 of 20 searched") == 2


def test_without_development_questions_some_are_held_out(
    answering_path: Path, files: Sources, tmp_path: Path
) -> None:
    alone = Sources(files.queries, files.qrels)
    config = train_reader(answering_path, alone, tmp_path / "out", PLAN)
    assert config.questions == ASKED - 2


# --- bad input


def test_bundle_without_a_reading_store(
    teacher: Path, files: Sources, write_jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    corpus = write_jsonl(tmp_path / "c.jsonl", [{"id": "p0", "text": "water"}])
    build(corpus, tmp_path / "bare.lurcher", BuildOptions(teacher))
    with pytest.raises(ModelError, match="has no reading store; `lurcher build --answers`"):
        train_reader(tmp_path / "bare.lurcher", files, tmp_path / "out", PLAN)
    assert not (tmp_path / "out").exists()


def rewritten(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        change(line)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_queries_without_answers(answering_path: Path, files: Sources, tmp_path: Path) -> None:
    rewritten(files.queries, lambda line: line.update(answers=["stands nowhere"]))
    with pytest.raises(CorpusError, match="no answer of its queries stands in a passage"):
        train_reader(answering_path, files, tmp_path / "out", PLAN)
    rewritten(files.queries, lambda line: line.pop("answers"))
    with pytest.raises(CorpusError, match="no query in it has answers"):
        train_reader(answering_path, files, tmp_path / "out", PLAN)
    assert not (tmp_path / "out").exists()


def test_full_disk_leaves_nothing_under_the_name(
    answering_path: Path, files: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lurcher.training.reader.train.write_curve", full)
    with pytest.raises(ModelError, match=r"No space left .* kept in .*out\.partial"):
        train_reader(answering_path, files, tmp_path / "out", PLAN)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "field"),
    [({"width": 0}, "width"), ({"heads": 5}, "heads"), ({"layers": 0}, "layers"), ({"inner": 0}, "inner")],
)  # fmt: skip
def test_plans_that_cannot_be(given: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldError) as caught:
        Plan(**given)
    assert caught.value.field == field


# --- the command


def test_command(answering_path: Path, files: Sources, tmp_path: Path) -> None:
    assert files.development is not None
    queries, qrels = files.development

    def lurcher(*words: str | Path) -> Any:
        return CliRunner().invoke(
            lurcher.cli.app, ["train", "reader", str(answering_path), *map(str, words)]
        )

    out = tmp_path / "reader"
    given = ["--queries", str(files.queries), "--qrels", str(files.qrels), "--out", str(out)]
    size = ["--width", "8", "--heads", "1", "--layers", "1", "--inner", "8"]
    length = ["--steps", "4", "--batch", "8", "--checks", "2", "--name", "mine"]
    ended = lurcher(*given, "--dev-queries", queries, "--dev-qrels", qrels, *size, *length)
    assert ended.exit_code == 0, ended.output
    assert "20 questions, gold_EM" in ended.output
    assert Served.load(out, 1).config.name == "mine"
    shutil.rmtree(out)
    ended = lurcher(*given, "--dev-queries", queries, *size)
    assert isinstance(ended.exception, LurcherError)
    assert "goes with dev_queries" in str(ended.exception)
