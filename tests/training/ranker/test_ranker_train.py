"""Training a decoder from judged queries: what it learns, what it keeps, and how it goes on after a kill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("transformers", reason="the [train] extra is not installed")

import torch

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Rows
from lurcher.bundle.token_store import TokenStore
from lurcher.errors import FieldError, ModelError
from lurcher.models.ranker.maxsim import blend, maxsim
from lurcher.training.loop import Point
from lurcher.training.plot import write_curve
from lurcher.training.ranker.batches import batch, draw, scores
from lurcher.training.ranker.decoder_training import Schedule, listwise, train
from lurcher.training.ranker.network import Decoder
from lurcher.training.ranker.questions import (
    NO_SCORE,
    Judged,
    Questions,
    padded_codes,
)
from tests.killed import KilledError

SCHEDULE = Schedule(steps=12, batch=8, negatives=9, learning_rate=5e-3, mean=0.5, checks=3)


@pytest.fixture(scope="module")
def questions(opened: Bundle, asked: Judged, tmp_path_factory: pytest.TempPathFactory) -> Questions:
    folder = tmp_path_factory.mktemp("ranker") / "questions"
    return Questions.make(folder, opened, opened.query_encoder(1), asked, 60, 20)


# --- questions


def test_candidates_are_what_a_search_would_rank(
    opened: Bundle, store: TokenStore, asked: Judged, questions: Questions
) -> None:
    encoder = opened.query_encoder(1)
    assert len(questions) == 40
    assert questions.rows.shape == (40, 20)
    for place in (0, 17, 39):
        (tokens,) = encoder.tokenise([asked.texts[place]])
        vectors, (states,) = encoder.encode_states([tokens])
        own = encoder.own_tokens(tokens)
        points, weights = store.coder.queries(states[own], tokens.ids[own])
        dense, rows = opened.vectors.search(vectors, 60)
        late = maxsim(points, weights, *store.gather(rows[0]))
        final = blend(dense[0], late)
        order = np.argsort(-final, kind="stable")[:20]
        np.testing.assert_array_equal(questions.rows[place], rows[0][order])
        np.testing.assert_allclose(questions.prior[place], final[order], atol=1e-6)
        span = questions.tokens(place)
        np.testing.assert_allclose(questions.states[span], states[own], atol=2e-2)
        np.testing.assert_allclose(questions.projected[span], points, atol=1e-3)
        np.testing.assert_allclose(questions.weights[span], weights)
        (answer,) = questions.relevant[questions.answers(place)]
        where = np.flatnonzero(rows[0] == answer)
        if len(where):
            np.testing.assert_allclose(
                questions.relevant_prior[questions.answers(place)], final[where], atol=1e-5
            )


def test_questions_are_found_again(
    opened: Bundle, asked: Judged, questions: Questions, tmp_path: Path
) -> None:
    made = Questions.make(tmp_path / "q", opened, opened.query_encoder(1), asked, 60, 20)
    again = Questions.open(tmp_path / "q", opened)
    for name in Questions.__slots__:
        np.testing.assert_array_equal(getattr(again, name), getattr(questions, name))
        np.testing.assert_array_equal(getattr(again, name), getattr(made, name))
    (tmp_path / "q" / "kept.npy").unlink()  # as a kill would leave it
    with pytest.raises(FileNotFoundError):
        Questions.open(tmp_path / "q", opened)


def test_texts_without_tokens_are_left_out(opened: Bundle, tmp_path: Path) -> None:
    encoder = opened.query_encoder(1)
    some = Judged(["", "water", " "], ["a", "b", "c"], [{0: 1}, {1: 1}, {2: 1}])
    made = Questions.make(tmp_path / "some", opened, encoder, some, 10, 5)
    assert made.kept.tolist() == [1]
    with pytest.raises(FieldError, match="none holds a word"):
        Questions.make(tmp_path / "none", opened, encoder, some.take(np.array([0])), 10, 5)


def test_quality_counts_what_was_not_found(questions: Questions) -> None:
    best = questions.rows == questions.relevant[:, None]  # one answer each
    found = questions.quality(best.astype(np.float32))
    share = best.any(axis=1).mean()
    assert 0 < share < 1
    assert found == pytest.approx({"MRR@10": share, "nDCG@10": share})
    assert questions.quality(questions.prior) == questions.quality()


def test_drawn_negatives_answer_nothing(questions: Questions) -> None:
    every = np.arange(40)
    rows, prior = draw(questions, every, 9, np.random.default_rng(0))
    again, _ = draw(questions, every, 9, np.random.default_rng(0))
    np.testing.assert_array_equal(rows, again)
    np.testing.assert_array_equal(rows[:, 0], questions.relevant)
    assert not (rows[:, 1:] == questions.relevant[:, None]).any()
    for place in range(40):
        assert len(set(rows[place].tolist())) == 10
        others = [r for r in questions.rows[place].tolist() if r != questions.relevant[place]]
        assert rows[place, 1:5].tolist() == others[:4]  # the best of them
    assert (prior > -1.01).all()
    # Of a corpus with fewer there are as many as there are.
    many, score = draw(questions, every, 30, np.random.default_rng(0))
    assert ((many == -1) == (score == NO_SCORE)).all()
    assert (many[:, -1] == -1).all()


def test_the_answer_that_is_drawn_was_found_if_any_was(questions: Questions) -> None:
    """Each question has two more answers: for even ones the second was found, for odd ones none was."""
    strangers = [np.setdiff1d(np.arange(80), rows)[:3] for rows in questions.rows]
    own = [
        [a, int(rows[-1]) if place % 2 == 0 else b, c]
        for place, (rows, (a, b, c)) in enumerate(zip(questions.rows, strangers, strict=True))
    ]
    many = replace(
        questions, relevant=np.array(own).ravel(), relevant_ends=3 * np.arange(1, 41),
        relevant_prior=np.linspace(0, 1, 120, dtype=np.float32), grades=np.ones(120, np.int64),
    )  # fmt: skip
    drawn = [draw(many, np.arange(40), 5, np.random.default_rng(seed)) for seed in range(30)]
    for place in range(40):
        first = {int(rows[place, 0]) for rows, _ in drawn}
        assert first == ({own[place][1]} if place % 2 == 0 else set(own[place]))
        rows, prior = drawn[0]
        at = 3 * place + own[place].index(int(rows[place, 0]))
        assert prior[place, 0] == many.relevant_prior[at]


def test_codes_are_padded_and_nothing_has_none(store: TokenStore) -> None:
    rows: Rows = np.array([3, -1, 5])
    codes, counts = padded_codes(store, rows)
    for place in (0, 2):
        wanted, (count,) = store.gather(rows[place : place + 1])
        assert counts[place] == count
        np.testing.assert_array_equal(codes[place, :count], wanted)
        assert not codes[place, count:].any()
    assert counts[1] == 0
    assert padded_codes(store, np.array([-1]))[0].shape[:2] == (1, 1)


# --- the loss


def test_loss_by_hand(
    store: TokenStore, questions: Questions, decoder: Callable[[], Decoder]
) -> None:
    every = np.arange(4)
    rows, prior = draw(questions, every, 3, np.random.default_rng(0))
    said = {0: {int(rows[0, 0]): 1.0, int(rows[0, 2]): -1.0}, 2: {int(rows[2, 1]): 5.0}}
    one = batch(questions, store, every, rows, prior, said)
    logits = 20.0 * prior.astype(np.float64)  # untrained
    wanted = np.mean(np.log(np.exp(logits).sum(1)) - logits[:, 0])
    plain = batch(questions, store, every, rows, prior)
    assert listwise(decoder().eval(), plain).item() == pytest.approx(wanted, abs=1e-4)
    # Of question 2 one score alone says nothing.
    goal = np.exp([1.0, -1.0]) / np.exp([1.0, -1.0]).sum()
    ours = np.exp(logits[0, [0, 2]]) / np.exp(logits[0, [0, 2]]).sum()
    wanted += (goal * np.log(goal / ours)).sum()
    loss = listwise(model := decoder().eval(), one)
    assert loss.item() == pytest.approx(wanted, abs=1e-4)
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_gradients_are_finite_where_candidates_are_missing(
    store: TokenStore, questions: Questions, decoder: Callable[[], Decoder]
) -> None:
    model, every = decoder(), np.arange(5)
    drawn = draw(questions, every, 40, np.random.default_rng(0))
    said = {i: {int(row): 0.5 * row for row in drawn[0][i]} for i in range(5)}
    listwise(model, batch(questions, store, every, *drawn, said)).backward()
    found = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(grad.isfinite().all() for grad in found)
    assert any(grad.any() for grad in found)


# --- the loop


def test_training_learns(
    store: TokenStore, questions: Questions, decoder: Callable[[], Decoder], tmp_path: Path
) -> None:
    schedule = Schedule(steps=120, batch=20, negatives=9, learning_rate=1e-2, mean=0.8, checks=4)
    model = decoder()
    curve = train(model, questions, questions, store, schedule, tmp_path)
    assert [point.step for point in curve] == [0, 30, 60, 90, 120]
    assert (
        curve[0].quality == questions.quality()
    )  # of the prior, which is left if nothing is better
    first, last = curve[1].loss, curve[-1].loss
    assert first is not None
    assert last is not None
    assert last < 0.4 * first
    # What is kept is what did best, and more than the prior does.
    kept = questions.quality(scores(model, questions, store))
    best = max(p.quality["nDCG@10"] for p in curve if p.quality is not None)
    assert kept["nDCG@10"] == pytest.approx(best)
    # Three times as much, most times: threads add up in another order each time.
    assert best > questions.quality()["nDCG@10"]


def test_run_that_was_killed_ends_as_one_in_one_go(
    store: TokenStore, questions: Questions, decoder: Callable[[], Decoder], tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    one = decoder()
    curve = train(one, questions, questions, store, SCHEDULE, whole)

    def kill(point: Point) -> None:
        if point.step == 8:
            raise KilledError

    with pytest.raises(KilledError):
        train(decoder(), questions, questions, store, SCHEDULE, parts, report=kill)
    seen: list[int] = []
    other = decoder()
    again = train(
        other, questions, questions, store, SCHEDULE, parts, report=lambda p: seen.append(p.step)
    )
    assert seen == [8, 12]
    assert again == curve
    ends = [torch.load(f / "checkpoint.pt", weights_only=True) for f in (whole, parts)]
    for kind in ("weights", "measured", "best_weights"):
        for name, part in ends[0][kind].items():
            assert torch.equal(part, ends[1][kind][name]), (kind, name)
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))


def test_diverging_is_said(
    store: TokenStore, questions: Questions, decoder: Callable[[], Decoder], tmp_path: Path
) -> None:
    model = decoder()
    with torch.no_grad():
        model.value.bias.fill_(float("nan"))
    with pytest.raises(ModelError, match="step 1: the loss is nan: training diverged"):
        train(model, questions, questions, store, SCHEDULE, tmp_path)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"steps": 0}, "steps"), ({"batch": 0}, "batch"), ({"negatives": 0}, "negatives"),
        ({"checks": 0}, "checks"), ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"), ({"seed": -1}, "seed"),
    ],
)  # fmt: skip
def test_schedules_that_cannot_be(given: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldError) as caught:
        Schedule(**given)
    assert caught.value.field == field


def test_curve_is_written(tmp_path: Path) -> None:
    points = [
        Point(0, None, {"MRR@10": 0.5, "nDCG@10": 0.6}), Point(5, 1.25, None),
        Point(10, 1.0, {"MRR@10": 0.55, "nDCG@10": 0.625}),
    ]  # fmt: skip
    write_curve(points, tmp_path)
    assert (tmp_path / "curve.csv").read_text().splitlines() == [
        "step,loss,MRR@10,nDCG@10", "0,,0.50000,0.60000", "5,1.25000,,", "10,1.00000,0.55000,0.62500",
    ]  # fmt: skip
    picture = (tmp_path / "curve.svg").read_bytes()
    assert b"MRR@10" in picture
    assert b"nan" not in picture
    write_curve(points, tmp_path)
    assert (tmp_path / "curve.svg").read_bytes() == picture
