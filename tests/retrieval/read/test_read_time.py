"""Questions among others, in the time there is, and where reading fails."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Condition
from lurcher.errors import ModelError
from lurcher.retrieval.costs import CostModel
from lurcher.retrieval.query import Query, ReadOptions
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from tests.retrieval.read.asking import ANY, PAST, Ask
from tests.server.pointing import Failing, Pointing, pointed


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
    assert result.degraded == ["retrieve_lexical", "rank", "read"]
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
