"""Batches of questions and passages: what is in them, what is padding, and which passages are drawn."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("transformers", reason="the [train] extra is not installed")

import torch

from lurcher.training.reader.batches import Batch, Library
from lurcher.training.reader.network import Reader, Shape
from tests.training.reading import ASKED, PASSAGES


def nobody() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((0, 2), np.int64), np.zeros((0, 2), np.int64)


def test_each_row_is_a_question_and_a_passage(library: Library) -> None:
    store, coder, questions = library.store, library.coder, library.questions
    # One passage has no words.
    pairs = [(0, 3), (7, 7), (7, PASSAGES - 1), (2, 11)]
    batch = library.batch(pairs, *nobody())
    longest = [0, 0]
    for place, (question, row) in enumerate(pairs):
        own = questions.tokens(question)
        length, (codes, (count,)) = own.stop - own.start, store.gather(np.array([row]))
        longest = [max(longest[0], length), max(longest[1], int(count))]
        assert batch.query_mask[place].tolist() == [
            i < length for i in range(batch.query_mask.shape[1])
        ]
        assert batch.there[place].tolist() == [i < count for i in range(batch.there.shape[1])]
        states = coder.query(np.asarray(library.states[own], np.float32))
        np.testing.assert_allclose(batch.states[place, :length], states, atol=1e-6)
        np.testing.assert_array_equal(batch.weights[place, :length], questions.weights[own])
        ids = library.texts.ids[library.texts.of(row)]
        decoded = coder.decode(codes, ids)
        np.testing.assert_allclose(batch.decoded[place, :count], decoded, atol=1e-6)
        stands = library.texts.places[library.texts.of(row)]
        np.testing.assert_array_equal(batch.places[place, :count], stands)
        ends = {"states": length, "weights": length, "decoded": count, "places": count}
        for part, end in ends.items():
            assert not getattr(batch, part)[place, end:].any()
    assert [batch.query_mask.shape[1], batch.there.shape[1]] == longest
    # Questions of several words, so that not all of one is another's.
    assert len({tuple(row) for row in batch.states[:, 0].tolist()}) == 3


def test_types_are_those_that_are_said(library: Library) -> None:
    batch = library.draw(np.arange(4), np.random.default_rng(0))
    wanted = {
        "states": torch.float32, "weights": torch.float32, "query_mask": torch.bool,
        "decoded": torch.float32, "places": torch.int64, "there": torch.bool,
        "groups": torch.int64, "answers": torch.int64,
    }  # fmt: skip
    assert {f.name: getattr(batch, f.name).dtype for f in fields(Batch)} == wanted
    moved = batch.to(torch.device("cpu"))
    assert all(torch.equal(getattr(moved, name), getattr(batch, name)) for name in wanted)


def test_a_batch_of_passages_without_words_can_be_read(library: Library) -> None:
    batch = library.batch([(0, PASSAGES - 1)], *nobody())
    assert batch.there.tolist() == [[False]]
    torch.manual_seed(0)
    reader = Reader(Shape(32, 16, 2, 1, 16)).eval()
    assert batch.logits(reader).isfinite().all()


def test_logits_of_a_batch_are_those_of_each_alone(library: Library) -> None:
    torch.manual_seed(0)
    reader = Reader(Shape(32, 16, 2, 1, 16)).eval()
    pairs = [(question, question) for question in range(6)]
    with torch.inference_mode():
        together = library.batch(pairs, *nobody()).logits(reader)
        for place, pair in enumerate(pairs):
            alone = library.batch([pair], *nobody()).logits(reader)[0]
            np.testing.assert_allclose(together[place, : len(alone)], alone, atol=1e-5)


def test_lengths_are_of_question_and_passage(library: Library) -> None:
    lengths = library.lengths()
    assert len(lengths) == ASKED
    for number in range(ASKED):
        batch = library.batch([(number, int(library.answered.rows[number]))], *nobody())
        assert lengths[number] == batch.query_mask.sum() + batch.there.sum()


def kinds(
    library: Library, questions: np.ndarray, seed: int
) -> list[tuple[str, list[tuple[int, int]]]]:
    """How each question was drawn, and with which question and passage each row is."""
    seen: list[list[tuple[int, int]]] = []
    plain = library.batch

    class Watched(Library):
        def batch(self, pairs: list[tuple[int, int]], *rest: np.ndarray) -> Batch:
            seen.append(pairs)
            return plain(pairs, *rest)

    watched = Watched(*(getattr(library, f.name) for f in fields(Library)))
    drawn = watched.draw(questions, np.random.default_rng(seed))
    found = library.answered
    assert len(drawn.states) == len(seen[0])
    kinds = []
    for question, group, answer in zip(
        questions.tolist(), drawn.groups.tolist(), drawn.answers.tolist(), strict=True
    ):
        rows = [seen[0][place] for place in group if place >= 0]
        assert all(asked == question for asked, _ in rows)
        right, there = int(found.rows[question]), [found.first[question], found.last[question]]
        assert all(row in found.wrong[question] for _, row in rows if row != right)
        if rows[0][1] == right:
            assert answer == there
            assert group[0] >= 0
            kinds.append(("beside" if len(rows) == 2 else "alone", rows))
        else:
            assert len(rows) == 1
            assert answer == [-1, -1]
            kinds.append(("wrong", rows))
    return kinds


def test_most_are_read_alone_some_beside_a_wrong_one_and_few_with_it_instead(
    library: Library,
) -> None:
    questions = np.tile(np.arange(ASKED), 30)
    drawn = kinds(library, questions, 0)
    share = {
        kind: sum(one == kind for one, _ in drawn) / len(drawn)
        for kind in ("alone", "beside", "wrong")
    }
    assert share["alone"] == pytest.approx(0.55, abs=0.08)
    assert share["beside"] == pytest.approx(0.30, abs=0.08)
    assert share["wrong"] == pytest.approx(0.15, abs=0.06)
    # Not always the same one.
    others = {rows[-1] for kind, rows in drawn if kind != "alone" and rows[-1][0] == 0}
    assert len(others) > 2
    # Every row of a batch is in one group, and each group's come one after the other.
    batch = library.draw(questions, np.random.default_rng(0))
    groups = batch.groups[batch.groups >= 0]
    assert groups.tolist() == list(range(len(batch.states)))


def test_the_generator_decides(library: Library) -> None:
    questions = np.arange(8)
    one, same, other = (library.draw(questions, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(one.states, same.states)
    assert torch.equal(one.decoded, same.decoded)
    assert torch.equal(one.groups, same.groups)
    assert not torch.equal(one.groups, other.groups)


def test_without_wrong_passages_all_are_read_alone(library: Library) -> None:
    bare = replace(library.answered, wrong=np.full((ASKED, 10), -1))
    drawn = kinds(replace(library, answered=bare), np.arange(ASKED), 0)
    assert {kind for kind, _ in drawn} == {"alone"}


def test_of_wrong_ones_the_one_that_is_as_long_is_drawn(library: Library) -> None:
    lengths = np.diff(library.texts.starts)
    few = replace(library.answered, wrong=library.answered.wrong[:, :3])  # all of them are drawn
    for kind, rows in kinds(replace(library, answered=few), np.tile(np.arange(ASKED), 3), 1):
        if kind != "alone":
            question, other = rows[-1]
            wrong = few.wrong[question]
            gaps = np.abs(lengths[wrong[wrong >= 0]] - lengths[few.rows[question]])
            assert abs(lengths[other] - lengths[few.rows[question]]) == gaps.min()
