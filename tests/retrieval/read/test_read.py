"""What answers, and how likely: one softmax over all that is read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.jagged import JaggedStore
from lurcher.index_builder.edit.swap_encoder import swap_encoder
from lurcher.models.reader.reader import Reader
from lurcher.retrieval.query import Query, ReadOptions
from lurcher.retrieval.results import Answer, SearchResult
from lurcher.retrieval.snapshot import Snapshot
from tests.retrieval.read.asking import (
    EVERYTHING,
    QUESTION,
    READ_ALL,
    SHORT,
    THREE,
    Ask,
    by_passage,
    whole,
)
from tests.server.odd import ODD
from tests.server.pointing import Pointed, Pointing, pointed
from tests.tiny import PROFILES


def test_passages_of_nothing_answer_nothing(ask: Ask) -> None:
    engine = Pointing(*THREE)
    found = by_passage(ask(engine))
    assert set(found) == {record["id"] for record in ODD} - SHORT
    assert sum(passages for passages, _ in engine.runs) == EVERYTHING - 2  # and "one" was read


def test_a_query_without_tokens_is_not_answered(ask: Ask) -> None:
    engine = Pointing()
    result = ask(engine, replace(QUESTION, text="\u200b"))
    assert (result.answers, result.degraded, engine.runs) == ([], [], [])
    assert len(result.hits) == EVERYTHING


def test_probabilities_are_those_of_one_softmax_with_nothing(ask: Ask) -> None:
    """Of each passage one span has a logit that counts, so the sum is short enough to write down."""
    engine, told = Pointing(*THREE, 1.5), {"rank_weight": 4.0, "slope": 0.7, "offset": -0.3}
    result = ask(engine, **told)
    weighed = {
        found.id: math.exp(1.5 + 4.0 * found.score)
        for found in result.hits
        if found.id not in SHORT
    }
    assert [one.passage.id for one in result.answers] == list(weighed)
    for one in result.answers:
        share = weighed[one.passage.id] / (1 + sum(weighed.values()))
        odds = (share / (1 - share)) ** 0.7 * math.exp(-0.3)
        assert one.score == pytest.approx(odds / (1 + odds), rel=1e-4)


def test_passages_that_say_the_same_answer_together(ask: Ask) -> None:
    """``n0`` to ``n7`` say "and other things", and what the others say there is each one's own."""
    first, *others = ask(Pointing(1, 3, 1.0)).answers
    assert first.text == "and other things"
    assert others
    assert len({one.text for one in others}) == len(others)
    assert [one.score for one in others] == pytest.approx([others[0].score] * len(others))
    assert first.score == pytest.approx(8 * others[0].score, rel=1e-4)


def test_only_as_many_answers_as_are_wanted_and_likely_enough(ask: Ask) -> None:
    engine = Pointing(*THREE, 3.0)
    every = ask(engine, rank_weight=3.0).answers
    scores = [one.score for one in every]
    assert scores == sorted(scores, reverse=True)

    def found(**options: Any) -> list[Answer]:
        question = replace(QUESTION, read=replace(READ_ALL, **options))
        return ask(engine, question, rank_weight=3.0).answers

    assert found(answers=2) == every[:2]
    assert found(min_score=scores[4]) == every[:5]
    assert found(min_score=1.0) == []


def test_the_readers_own_limit_holds_where_none_is_asked_for(ask: Ask) -> None:
    question = Query("who built it", 1, read=ReadOptions())
    (likely,) = ask(Pointing(0, 0, 4.0), question, min_score=0.9).answers
    assert likely.score == pytest.approx(1 / (1 + math.exp(-4.0)), abs=1e-5)
    assert ask(Pointing(0, 0, 2.0), question, min_score=0.9).answers == []
    asked = replace(question, read=ReadOptions(min_score=0.5))
    assert len(ask(Pointing(0, 0, 2.0), asked, min_score=0.9).answers) == 1


@pytest.mark.parametrize("rank", ["auto", "off", "maxsim"])
def test_a_hits_own_score_counts_as_its_reader_weighs_it(ask: Ask, rank: Any) -> None:
    question = replace(QUESTION, text="Jupiter has moons", rank=rank)
    result = ask(Pointing(*THREE), question, rank_weight=8.0)
    read = [hit for hit in result.hits if hit.id not in SHORT]
    assert read[0].id == "title only"
    assert [one.passage.id for one in result.answers] == [hit.id for hit in read]
    share = [one.score / result.answers[0].score for one in result.answers]
    wanted = [math.exp(8 * (one.score - read[0].score)) for one in read]
    assert share == pytest.approx(wanted, rel=1e-3)
    assert share[-1] < 0.5


def test_what_a_t5_says_of_a_hit_is_no_bonus(opened: Bundle) -> None:
    """It is on another scale than what the weight was made for: the score of the tokens counts instead."""

    class States:
        def gather(self, rows: Any) -> Any:
            return rows

    class Grim:
        def scores(self, _: str, rows: Any, _pause: object) -> Any:
            return np.linspace(-400, -300, len(rows), dtype=np.float32)

        def reads(self, text: str) -> list[int]:
            return [0] * len(text)

    class Ranked(Pointed):
        def t5(self, *_: object) -> Any:
            return Grim()

    made = pointed(opened, Pointing(*THREE), rank_weight=10.0)
    config, engine = made.read_by
    snapshot = Snapshot(Ranked.of(opened, config, engine, states=States()), 1)
    grim, plain = snapshot.run([replace(QUESTION, rank="t5"), QUESTION])
    assert isinstance(grim, SearchResult)
    assert isinstance(plain, SearchResult)
    assert grim.hits[0].score == -300
    wanted = [(one.passage.id, pytest.approx(one.score, rel=1e-4)) for one in plain.answers]
    assert [(one.passage.id, one.score) for one in grim.answers] == wanted


# Who reads the question.


def test_beside_a_student_the_passages_encoder_reads_the_question(
    answering_bundle: Path, opened: Bundle, tmp_path: Path
) -> None:
    swap_encoder(answering_bundle, PROFILES["fast"], out := tmp_path / "fast.lurcher")

    class Noting(Pointing):
        """Keeps what it is given of the question."""

        def run(
            self, outputs: Sequence[str], inputs: Mapping[str, npt.NDArray[Any]]
        ) -> list[npt.NDArray[Any]]:
            self.given = {name: inputs[name] for name in ("states", "weights")}
            return super().run(outputs, inputs)

    mine, theirs = Noting(), Noting()
    with closing(Bundle.open(out)) as bundle:
        ours = Ask(bundle)(mine)
    assert ours.answers
    Ask(opened)(theirs)
    states = mine.given["states"]
    assert len(states) == len(QUESTION.text.split())
    np.testing.assert_allclose(np.linalg.norm(states, axis=1), 1, atol=1e-5)
    for name, array in mine.given.items():
        np.testing.assert_array_equal(array, theirs.given[name])


# A store that is not of these texts.


def test_a_passage_whose_store_has_another_number_of_tokens_is_not_read(opened: Bundle) -> None:
    store = opened.reading
    assert store is not None
    own, counts = store.gather(np.arange(opened.passages.count))
    codes = np.concatenate([own, own[:40]])
    rows = opened.passages.rows_of([record["id"] for record in ODD])
    wrong = {"titled": 1, "emoji": -2, "one": 3, "empty": 2, "n3": -1}
    for id_, more in wrong.items():
        counts[rows[id_]] += more
    entries = JaggedStore((codes,), np.concatenate([[0], np.cumsum(counts)]))
    bent = replace(store, entries=entries)
    config, engine = pointed(opened, Pointing(*THREE)).read_by
    (result,) = Snapshot(Pointed.of(opened, config, engine, reading=bent), 1).run([QUESTION])
    assert isinstance(result, SearchResult)
    assert set(by_passage(result)) == set(rows) - {*wrong, *SHORT}
    for found in result.answers:
        assert whole(found)[slice(*found.span)] == found.text


def test_the_reader_that_ships_runs(opened: Bundle) -> None:
    assert isinstance(opened.reader(1), Reader)
    question = Query("who built it", 9, read=ReadOptions(5, 0.0))
    (result,) = Snapshot(opened, 1).run([question])
    assert isinstance(result, SearchResult)
    assert 1 <= len(result.answers) <= 5
    for found in result.answers:
        assert whole(found)[slice(*found.span)] == found.text
        assert 0 < found.score < 1


# A T5 that writes.


def test_a_t5_writes_from_all_hits_if_it_is_asked_to(opened: Bundle) -> None:
    class States:
        def gather(self, rows: Any) -> Any:
            return rows

    class Writer:
        def write(self, text: str, rows: Any, most: int, _pause: object) -> tuple[str, float]:
            return f"{text}: {len(rows)} passages in {most} tokens", 0.25

    class Written(Pointed):
        def t5(self, *_: object) -> Any:
            return Writer()

    config, engine = pointed(opened, Pointing()).read_by
    snapshot = Snapshot(Written.of(opened, config, engine, states=States()), 1)
    question = Query("who built it", 4, read=ReadOptions(write=True))
    asked, not_asked = snapshot.run([question, replace(question, read=ReadOptions())])
    assert isinstance(asked, SearchResult)
    assert isinstance(not_asked, SearchResult)
    assert asked.written is not None
    assert asked.written.text == "who built it: 4 passages in 48 tokens"
    assert asked.written.score == 0.25
    assert asked.written.ids == [hit.id for hit in asked.hits]
    assert not_asked.written is None
    assert asked.answers == not_asked.answers
