"""Ranking by a reader: what its best span in a passage adds to the passage's score, and to nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors
from lurcher.index_builder.edit.swap_encoder import swap_encoder
from lurcher.models.errors import FieldError, ModelError
from lurcher.models.pretrained import PROFILES
from lurcher.models.reader.spans import NOTHING
from lurcher.retrieval import ranking
from lurcher.retrieval.answering import Question
from lurcher.retrieval.pipeline import Pipeline, Result
from lurcher.retrieval.ranking import READ_WEIGHT, Ranking
from lurcher.retrieval.reading import Inquiry, PassageReader
from lurcher.retrieval.searching import Hits, Query
from tests.server.odd import ODD
from tests.server.pointing import Pointing, pointed

BY_READER = Query("who built it", len(ODD), rank="reader")
BY_TOKENS = replace(BY_READER, rank="maxsim")
UNREAD = {"empty", "blank"}  # they have no tokens


class Longest(Pointing):
    """It is the surer of a passage the more tokens that has."""

    def run(
        self, outputs: Sequence[str], inputs: Mapping[str, npt.NDArray[Any]]
    ) -> list[npt.NDArray[Any]]:
        (logits,) = super().run(outputs, inputs)
        logits[:, 0] += 10 * inputs["counts"][:, None].astype(np.float32)
        return [logits]


@pytest.fixture(scope="module")
def opened(answering_bundle: Path) -> Iterator[Bundle]:
    with closing(Bundle.open(answering_bundle)) as bundle:
        yield bundle


def read_by(engine: Pointing, bundle: Bundle) -> Pipeline:
    return Pipeline(pointed(bundle, engine), 1)


def ask(pipeline: Pipeline, query: Query) -> Result:
    (result,) = pipeline.run([query])
    assert isinstance(result, Result), result
    return result


def test_the_best_span_adds_to_the_score_of_late_interaction(
    opened: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "READ", len(ODD))
    pipeline = read_by(Longest(), opened)
    tokens, reader = ask(pipeline, BY_TOKENS), ask(pipeline, BY_READER)
    before = {one.passage.id: one for one in tokens.found}
    store = opened.reading
    assert store is not None
    rows = opened.passages.rows_of(list(before))
    assert len(reader.found) == len(tokens.found) == len(ODD)
    for one in reader.found:
        was = before[one.passage.id]
        count = store.gather(np.array([rows[one.passage.id]]))[1][0]
        # A span of one token, both its start and its end.
        logit = 5 + 20 * count if count else NOTHING
        assert one.score == pytest.approx(was.score + READ_WEIGHT * logit, abs=1e-4)
        assert (one.late, one.dense) == (was.late, was.dense)
    assert [one.score for one in reader.found] == sorted(
        (o.score for o in reader.found), reverse=True
    )
    assert [o.passage.id for o in reader.found] != [o.passage.id for o in tokens.found]


def test_what_cannot_be_read_comes_last(opened: Bundle) -> None:
    found = ask(read_by(Pointing(sure=100.0), opened), BY_READER).found
    assert {one.passage.id for one in found[-len(UNREAD) :]} == UNREAD


def test_so_many_candidates_are_read_and_no_more(opened: Bundle) -> None:
    engine = Pointing()
    found = ask(read_by(engine, opened), replace(BY_READER, top_k=2, candidates=3)).found
    assert len(found) == 2
    assert sum(passages for passages, _ in engine.runs) <= 3


def test_only_the_best_by_late_interaction_are_read(
    opened: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "READ", 4)
    engine = Longest()
    pipeline = read_by(engine, opened)
    before = ask(pipeline, replace(BY_TOKENS, top_k=20)).found
    after = ask(pipeline, replace(BY_READER, top_k=20)).found
    best = [one.passage.id for one in before[:4]]
    assert sum(passages for passages, _ in engine.runs) == len(set(best) - UNREAD) > 1
    assert {one.passage.id for one in after[: len(set(best) - UNREAD)]} == set(best) - UNREAD
    # The others keep their order, as far behind as if there were nothing to read in them.
    others = [one for one in before if one.passage.id not in set(best) - UNREAD]
    assert [one.passage.id for one in after[-len(others) :]] == [one.passage.id for one in others]
    for was, one in zip(others, after[-len(others) :], strict=True):
        assert one.score == pytest.approx(was.score + READ_WEIGHT * NOTHING, abs=1e-5)


def test_what_known_queries_raise_is_read_and_keeps_their_part(
    opened: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "READ", 3)
    read: list[int] = []

    class Sure(PassageReader):
        def best(self, _: Inquiry, rows: Rows) -> Vectors:
            read.extend(rows.tolist())
            return np.full(len(rows), 10, np.float32)

    encoder = opened.query_encoder(1)
    reader = Sure.of(opened, encoder, 1)
    rank = Ranking(opened.tokens, reader=reader)
    (tokens,) = encoder.tokenise([BY_READER.text])
    asked = rank.asked(encoder, tokens, encoder.encode_states([tokens])[1][0], "reader")
    rows = np.arange(10)
    dense = np.zeros(10, np.float32)
    half = np.full(10, 0.5, np.float32)
    raised = np.where(rows == 7, 5, 0).astype(np.float32)
    found = rank.run(BY_READER, asked, Hits(rows, dense, raised, raised, dense_weight=half))
    assert len(read) == 3
    assert 7 in read
    assert found.rows[0] == 7
    assert found.late is not None
    wanted = 5 + 0.5 * (0.75 * found.late[0] + READ_WEIGHT * 10)
    assert found.best[0] == pytest.approx(wanted, abs=1e-5)


def test_a_query_without_tokens_is_ranked_as_before(opened: Bundle) -> None:
    pipeline = read_by(Longest(), opened)
    nothing = [replace(query, text=" ") for query in (BY_TOKENS, BY_READER)]
    before, after = ([one.passage.id for one in ask(pipeline, query).found] for query in nothing)
    assert before == after


def test_answers_are_those_of_the_same_passages_ranked_by_tokens(opened: Bundle) -> None:
    """What the reader says of a passage counts once: in its spans."""
    question = Question("who built it", len(ODD), answers=len(ODD), min_score=0.0)
    pipeline = Pipeline(pointed(opened, Pointing(), rank_weight=40.0), 1)
    tokens, reader = (ask(pipeline, replace(question, rank=rank)) for rank in ("maxsim", "reader"))
    assert tokens.answers
    wanted = {(one.text, one.passage.id): one.score for one in tokens.answers}
    assert {
        (one.text, one.passage.id): pytest.approx(one.score) for one in reader.answers
    } == wanted


def test_beside_a_student_the_passages_encoder_reads_the_query(
    answering_bundle: Path, tmp_path: Path
) -> None:
    swap_encoder(answering_bundle, PROFILES["fast"], out := tmp_path / "fast.lurcher")
    with closing(Bundle.open(out)) as bundle:
        found = ask(Pipeline(bundle, 1), BY_READER).found
    assert len(found) == len(ODD)


def test_a_bundle_without_a_reader_says_how_to_get_one(small_bundle: Path) -> None:
    with closing(Bundle.open(small_bundle)) as bundle:
        error = Ranking(bundle.tokens).plan(Query("a cat", rank="reader"))
        (result,) = Pipeline(bundle, 1).run([Query("a cat", rank="reader")])
    for one in (error, result):
        assert isinstance(one, FieldError)
        assert one.field == "rank"
        assert "build --answers" in one.reason


def test_without_time_to_read_hits_stay_as_they_are(opened: Bundle) -> None:
    pipeline = read_by(Longest(), opened)
    late = ask(pipeline, replace(BY_READER, until=perf_counter()))
    assert late.degraded == ["rank"]
    assert all(one.late is None for one in late.found)


def test_reading_that_fails_is_the_query_s_alone(
    opened: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = read_by(Pointing(), opened)

    def broken(*_: object) -> None:
        raise ModelError("no passages' encoder")

    monkeypatch.setattr(PassageReader, "_texts", broken)
    reader, tokens = pipeline.run([BY_READER, BY_TOKENS])
    assert isinstance(reader, ModelError)
    assert isinstance(tokens, Result)
