"""The read stage: exact words at exact places, one softmax over all that is read, and what time allows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.jagged import JaggedStore
from lurcher.bundle.passages import Condition, Passage
from lurcher.errors import ModelError
from lurcher.index_builder.edit.swap_encoder import swap_encoder
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.reader.reader import Reader
from lurcher.models.reader.spans import Span
from lurcher.retrieval.costs import CostModel
from lurcher.retrieval.passage_reader import ReadPassage
from lurcher.retrieval.query import Query, ReadOptions
from lurcher.retrieval.results import Answer, SearchResult
from lurcher.retrieval.snapshot import Snapshot
from tests.server.odd import ODD, prompted_encoder
from tests.server.pointing import Failing, Pointed, Pointing, pointed
from tests.tiny import PROFILES, TINY, TinyOptions, build

PAST = 0.0  # on the clock of perf_counter
EVERYTHING = len(ODD)
ANY = 1e-6  # spans that are not pointed at are less likely than that
READ_ALL = ReadOptions(EVERYTHING, ANY)
QUESTION = Query("who built it", EVERYTHING, read=READ_ALL)
# With the first three tokens no passage says what another one says, and these say nothing.
THREE, SHORT = (0, 2), {"empty", "blank", "one"}
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@pytest.fixture(scope="module")
def opened(answering_bundle: Path) -> Iterator[Bundle]:
    with closing(Bundle.open(answering_bundle)) as bundle:
        yield bundle


class Switch(Pointing):
    """Lets another graph run, so that a snapshot need not be opened for each."""

    engine: Pointing

    def run(
        self, outputs: Sequence[str], inputs: Mapping[str, npt.NDArray[Any]]
    ) -> list[npt.NDArray[Any]]:
        return self.engine.run(outputs, inputs)


class Ask:
    """Asks questions of a bundle whose reader is a graph of the test's own, described with ``changes``."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._opened: dict[tuple[tuple[str, Any], ...], tuple[Switch, Snapshot]] = {}

    def snapshot(self, engine: Pointing, **changes: Any) -> Snapshot:
        key = tuple(sorted(changes.items()))
        if key not in self._opened:
            switch = Switch()
            self._opened[key] = switch, Snapshot(pointed(self._bundle, switch, **changes), 1)
        switch, snapshot = self._opened[key]
        switch.engine = engine
        return snapshot

    def __call__(
        self, engine: Pointing, question: Query = QUESTION, **changes: Any
    ) -> SearchResult:
        (result,) = self.snapshot(engine, **changes).run([question])
        assert isinstance(result, SearchResult), result
        return result


@pytest.fixture(scope="module")
def ask(opened: Bundle) -> Ask:
    return Ask(opened)


def by_passage(result: SearchResult) -> dict[str, Answer]:
    return {one.passage.id: one for one in result.answers}


def whole(one: Answer) -> str:
    return one.passage.title if one.part == "title" else one.passage.text


# Words and places.


@pytest.mark.parametrize(
    ("first", "last", "id_", "part", "words"),
    [
        (0, 0, "one", "text", "telescope"),
        (0, 3, "titled", "title", "Galileo Galilei"),
        (4, 6, "titled", "text", "built a telescope"),
        (1, 6, "titled", "text", "built a telescope"),  # over the seam: cut to the part with more
        (0, 4, "titled", "title", "Galileo Galilei"),
        (1, 3, "title only", "title", "moons of Jupiter"),
        (0, 1, "padded", "text", "the oboe"),
        (1, 4, "padded", "text", "oboe gives the note"),
        (0, 2, "long", "text", "sand dunes"),
        (1, 2, "emoji", "title", "Hunde"),
        (0, 0, "emoji", "title", "🐕🐕‍🦺"),
        (3, 3, "emoji", "text", "🏃"),
        (5, 5, "emoji", "text", "naïve"),
        (9, 10, "emoji", "text", "e\u0301te\u0301"),
        (10, 10, "emoji", "text", "e\u0301"),  # the tokeniser does not say where the accent stands
        (10, 14, "emoji", "text", "e\u0301 — 猫は窓"),
        (13, 13, "emoji", "text", "は"),
        (1, 3, "marked", "text", "[SEP] in the"),
    ],
)
def test_an_answer_is_what_stands_there(
    ask: Ask, first: int, last: int, id_: str, part: str, words: str
) -> None:
    found = by_passage(ask(Pointing(first, last)))[id_]
    assert (found.text, found.part) == (words, part)
    assert whole(found)[slice(*found.span)] == words


@pytest.mark.parametrize("first", [0, 1, 2, 5, 11, 40, 200, 253])
@pytest.mark.parametrize("more", [0, 1, 3, 30])
def test_every_answer_is_an_exact_part_of_its_passage(ask: Ask, first: int, more: int) -> None:
    for found in ask(Pointing(first, first + more)).answers:
        assert whole(found)[slice(*found.span)] == found.text
        assert found.text == found.text.strip() != ""


def test_a_passage_of_another_prompt_is_read_where_it_stands(
    tmp_path: Path, write_jsonl: Any
) -> None:
    encoder = prompted_encoder(tmp_path / "encoder")
    out = tmp_path / "odd.lurcher"
    build(write_jsonl(tmp_path / "odd.jsonl", ODD), out, TinyOptions(encoder=encoder, answers=True))
    with closing(Bundle.open(out)) as bundle:
        found = by_passage(Ask(bundle)(Pointing(4, 6)))["titled"]
    assert (found.text, found.part) == ("built a telescope", "text")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load(TINY, "passage", 1)


@pytest.mark.parametrize(
    ("title", "text", "first", "last", "words"),
    [
        ("Red", "  dogs run", 0, 1, ("dogs", "text", (2, 6))),
        (" Greyhounds  ", "run", 0, 2, ("Greyhounds", "title", (1, 11))),
        ("", "\n the end ", 0, 1, ("the end", "text", (2, 9))),
        ("cafe\u0301", "noe\u0308l", 0, 0, ("cafe\u0301", "title", (0, 5))),
    ],
)
def test_no_blank_stands_at_either_end_of_an_answer(
    encoder: Encoder, title: str, text: str, first: int, last: int, words: Any
) -> None:
    passage = Passage("id", text, title)
    every = np.arange(len(encoder.own_spans(passage.content)))
    read = ReadPassage(passage, encoder, every, np.zeros((len(every), 2), np.float32))
    assert read.words(Span(0, first, last, 0.0)) == words


@given(title=texts, text=texts, data=st.data())
def test_words_of_any_span_are_part_of_the_passage(
    encoder: Encoder, title: str, text: str, data: st.DataObject
) -> None:
    passage = Passage("id", text, title)
    spans = encoder.own_spans(passage.content)
    if not spans:
        return
    first = data.draw(st.integers(0, len(spans) - 1))
    last = data.draw(st.integers(first, len(spans) - 1))
    every = np.arange(len(spans))
    read = ReadPassage(passage, encoder, every, np.zeros((len(every), 2), np.float32))
    found = read.words(Span(0, first, last, 0.0))
    if found is None:
        assert not passage.content[spans[first][0] : spans[last][1]].strip()
        return
    words, part, span = found
    assert (title if part == "title" else text)[slice(*span)] == words == words.strip() != ""
    # Nothing is there that was not meant, but for marks upon the last letter.
    meant = passage.content[spans[first][0] :]
    assert words in meant
    if part == "text" and not title:
        assert meant.startswith(words) or meant[0].isspace()


# What answers.


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
        def scores(self, _: str, rows: Any) -> Any:
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
    codes = np.concatenate([store.codes, store.codes[:40]])
    rows = opened.passages.rows_of([record["id"] for record in ODD])
    wrong = {"titled": 1, "emoji": -2, "one": 3, "empty": 2, "n3": -1}
    counts = np.diff(store.starts)
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


# Time.


def test_alone_and_in_a_crowd_a_question_has_the_same_answers(answering_bundle: Path) -> None:
    """By the reader that the build put in, to ask its graph."""
    with closing(Bundle.open(answering_bundle)) as bundle:
        snapshot = Snapshot(bundle, 2)
        asked = ["who built a telescope", "猫", "moons " * 300, "!", "bread and other things"]
        read = ReadOptions(5, 0.0)
        questions = [Query(text, 7, read=read) for text in asked]
        crowd: list[Query] = [Query("rain", 3), *questions, Query("naïve", 2, rank="off")]
        results = snapshot.run(crowd)[1:-1]
        for question, together in zip(questions, results, strict=True):
            (alone,) = snapshot.run([question])
            assert isinstance(alone, SearchResult)
            assert isinstance(together, SearchResult)
            assert alone.answers
            assert [(a.text, a.passage.id, a.part, a.span) for a in together.answers] == [
                (a.text, a.passage.id, a.part, a.span) for a in alone.answers
            ]
            assert [a.score for a in together.answers] == pytest.approx(
                [a.score for a in alone.answers], abs=1e-5
            )


def test_searches_beside_questions_are_as_without(ask: Ask) -> None:
    snapshot = ask.snapshot(Pointing())
    query, question = Query("a telescope", 4), Query("a", 3, read=ReadOptions())
    alone, (beside, _) = snapshot.run([query])[0], snapshot.run([query, question])
    assert isinstance(alone, SearchResult)
    assert isinstance(beside, SearchResult)
    assert [hit.id for hit in beside.hits] == [hit.id for hit in alone.hits]
    assert (beside.answers, beside.degraded) == ([], [])
    assert "read" not in alone.seconds
    assert "read" in beside.seconds


def test_no_time_left_reads_the_best_hit_alone(ask: Ask) -> None:
    engine = Pointing()
    question = Query("a telescope", 8, deadline=PAST, read=ReadOptions(8, ANY))
    result = ask(engine, question)
    assert result.degraded == ["rank", "read"]
    assert [passages for passages, _ in engine.runs] == [1]
    (only,) = result.answers
    assert only.passage.id == result.hits[0].id
    soon = ask(engine, replace(question, deadline=perf_counter() + 60))
    assert soon.degraded == []
    assert len(soon.answers) > 1


def test_time_left_is_spent_on_the_best_hits(opened: Bundle) -> None:
    numbers, engine = [], Pointing()
    costs = CostModel()
    snapshot = Snapshot(pointed(opened, engine), 1, costs=costs)
    for seconds in (100, 400, 600, 400_000):
        engine.runs.clear()
        # Whatever was measured before: 10 seconds a token, as nine tenths of an estimate are kept.
        costs.observe("read", 1, 10 * (10.0 - 0.9 * costs.estimate("read", 1)))
        assert costs.estimate("read", 1) == pytest.approx(10.0)
        question = Query("a telescope", 8, rank="off", read=ReadOptions(20, ANY))
        (result,) = snapshot.run([replace(question, deadline=perf_counter() + seconds)])
        assert isinstance(result, SearchResult)
        read = sum(passages for passages, _ in engine.runs)
        best = {hit.id for hit in result.hits[:read]}
        assert {one.passage.id for one in result.answers} <= best
        assert result.degraded == (["read"] if read < 8 else [])
        numbers.append(read)
    assert numbers == sorted(set(numbers))
    assert (numbers[0], numbers[-1]) == (1, 8)


def test_one_slow_reading_does_not_end_all_reading(opened: Bundle) -> None:
    slow = CostModel({"read": 1.0})  # as if a disk had stood still
    snapshot = Snapshot(pointed(opened, Pointing()), 1, costs=slow)
    question = Query("a telescope", 8, read=ReadOptions())
    tries = 0
    for _ in range(200):
        (result,) = snapshot.run([replace(question, deadline=perf_counter() + 10)])
        assert isinstance(result, SearchResult)
        if not result.degraded:
            break
        tries += 1
    assert result.degraded == []
    assert tries > 0


def test_reading_that_fails_is_the_questions_alone(ask: Ask) -> None:
    query = Query("a telescope", 3)
    question, search = ask.snapshot(Failing()).run([replace(query, read=ReadOptions()), query])
    assert isinstance(question, ModelError)
    assert isinstance(search, SearchResult)
    assert len(search.hits) == 3


def test_a_wrong_search_is_a_wrong_question(ask: Ask) -> None:
    colour = (Condition("colour", "in", ("red",)),)
    right = Query("a", 3, read=ReadOptions())
    wrong, result = ask.snapshot(Pointing()).run([replace(right, conditions=colour), right])
    assert "filter.colour" in str(wrong)
    assert isinstance(result, SearchResult)


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
        def write(self, text: str, rows: Any, most: int) -> tuple[str, float]:
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
