"""Training a reader: its loss, what it learns by heart, going on after a kill, and what answers are worth."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import fields
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
from lurcher.errors import ModelError
from lurcher.models.reader.reader_reference import reference_logits
from lurcher.training.loop import Point
from lurcher.training.reader.batches import Library
from lurcher.training.reader.network import Reader, Shape
from lurcher.training.reader.quality import Reading
from lurcher.training.reader.span_training import span_loss, train
from tests.killed import KilledError
from tests.training.reading import (
    asked_of,
    small_schedule,
)

Array = np.ndarray[Any, Any]
SHAPE = Shape(32, 16, 2, 1, 16)


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
    for kind in ("weights", "measured", "best_weights"):
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
