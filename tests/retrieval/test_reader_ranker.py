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
from lurcher.errors import ModelError
from lurcher.index_builder.edit.swap_encoder import swap_encoder
from lurcher.models.ranker.maxsim import LATE_WEIGHT
from lurcher.models.reader.spans import NOTHING
from lurcher.retrieval.costs import CostModel
from lurcher.retrieval.passage_reader import PassageReader
from lurcher.retrieval.query import Candidates, Plan, Query, QueryState, ReadOptions
from lurcher.retrieval.rankers import Ranker
from lurcher.retrieval.rankers.maxsim import READER_WEIGHT, MaxSimRanker, ReaderRanker
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from lurcher.retrieval.stages.encode import Encode, Planned
from lurcher.retrieval.stages.read import Read
from tests.server.odd import ODD
from tests.server.pointing import Failing, Pointing, pointed
from tests.tiny import PROFILES

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


def read_by(engine: Pointing, bundle: Bundle) -> Snapshot:
    return Snapshot(pointed(bundle, engine), 1)


def ask(snapshot: Snapshot, query: Query) -> SearchResult:
    (result,) = snapshot.run([query])
    assert isinstance(result, SearchResult), result
    return result


def test_the_best_span_adds_to_the_score_of_late_interaction(opened: Bundle) -> None:
    snapshot = read_by(Longest(), opened)
    tokens, reader = ask(snapshot, BY_TOKENS), ask(snapshot, BY_READER)
    before = {one.id: one for one in tokens.hits}
    store = opened.reading
    assert store is not None
    rows = opened.passages.rows_of(list(before))
    assert len(reader.hits) == len(tokens.hits) == len(ODD)
    for one in reader.hits:
        was = before[one.id]
        count = store.gather(np.array([rows[one.id]]))[1][0]
        # A span of one token, both its start and its end.
        logit = 5 + 20 * count if count else NOTHING
        assert one.score == pytest.approx(was.score + READER_WEIGHT * logit, abs=1e-4)
        assert (one.scores["maxsim"], one.scores["dense"]) == (
            was.scores["maxsim"],
            was.scores["dense"],
        )
    assert [one.score for one in reader.hits] == sorted(
        (o.score for o in reader.hits), reverse=True
    )
    assert [o.id for o in reader.hits] != [o.id for o in tokens.hits]


def test_what_cannot_be_read_comes_last(opened: Bundle) -> None:
    found = ask(read_by(Pointing(sure=100.0), opened), BY_READER).hits
    assert {one.id for one in found[-len(UNREAD) :]} == UNREAD


def test_so_many_candidates_are_read_and_no_more(opened: Bundle) -> None:
    engine = Pointing()
    found = ask(read_by(engine, opened), replace(BY_READER, top_k=2, candidates=3)).hits
    assert len(found) == 2
    assert sum(passages for passages, _ in engine.runs) <= 3


def reader_of(bundle: Bundle, engine: Pointing) -> PassageReader:
    """What reads ``bundle`` by ``engine``."""
    assert bundle.reading is not None
    assert bundle.tokens is not None
    reader, encoder = pointed(bundle, engine).reader(1), bundle.query_encoder(1)
    return PassageReader(reader, bundle.reading, bundle.tokens.coder, bundle.passages, encoder)


def ranking(bundle: Bundle, reader: PassageReader, candidates: Candidates) -> QueryState:
    """``BY_READER`` before its ``candidates`` are ranked."""
    count = len(candidates.rows)
    plan = Plan("reader", "off", ("dense",), count, count)
    encode = Encode(bundle.query_encoder(1), bundle.tokens, None, reader)
    (state,) = encode([Planned(BY_READER, plan, None)])
    return replace(state, candidates=candidates)


def ranked(ranker: Ranker, state: QueryState) -> QueryState:
    """``state`` with all of its candidates in the order of ``ranker``."""
    found = ranker(state)
    candidates = state.candidates.take(found.order, **found.columns)
    return replace(state, candidates=candidates, read_passages=found.read_passages)


def scored(bundle: Bundle, state: QueryState) -> dict[str, float]:
    """The ``rank`` of each candidate by its id, best first."""
    rows = state.candidates.rows.tolist()
    ids = [passage.id for passage in bundle.passages.get(rows)]
    return dict(zip(ids, state.candidates.columns["rank"].tolist(), strict=True))


def test_only_the_best_by_late_interaction_are_read(opened: Bundle) -> None:
    engine = Longest()
    reader, store = reader_of(opened, engine), opened.tokens
    assert store is not None
    maxsim, by_reader = MaxSimRanker(store), ReaderRanker(store, reader, depth=4)
    rows = np.arange(len(ODD))
    (vector,) = opened.query_encoder(1).encode([BY_READER.text])
    dense = opened.vectors.vectors(rows) @ vector
    state = ranking(opened, reader, Candidates(rows, {"dense": dense}))
    before, done = scored(opened, ranked(maxsim, state)), ranked(by_reader, state)
    after = scored(opened, done)
    best = set(list(before)[:4])
    read = best - UNREAD
    assert sum(passages for passages, _ in engine.runs) == len(read) > 1
    assert {one.passage.id for one in done.read_passages.values()} == read
    assert set(list(after)[: len(read)]) == read
    # The others keep their order, as far behind as if there were nothing to read in them.
    others = [id_ for id_ in before if id_ not in read]
    assert list(after)[-len(others) :] == others
    for id_ in others:
        assert after[id_] == pytest.approx(before[id_] + READER_WEIGHT * NOTHING, abs=1e-5)


def test_what_known_queries_raise_is_read_and_keeps_their_part(opened: Bundle) -> None:
    reader = reader_of(opened, Pointing(sure=10.0))
    assert opened.tokens is not None
    rows = opened.passages.rows_of([f"n{i}" for i in range(8)])
    places, raised_row = np.array(list(rows.values())), rows["n7"]
    dense = np.zeros(8, np.float32)
    raised = np.where(places == raised_row, 5, 0).astype(np.float32)
    columns = {
        "dense": dense, "neighbours": raised, "fused": raised,
        "boost": raised,
    }  # fmt: skip
    ranker = ReaderRanker(opened.tokens, reader, depth=3)
    found = ranked(ranker, ranking(opened, reader, Candidates(places, columns)))
    assert len(found.read_passages) == 3
    assert raised_row in found.read_passages
    assert found.candidates.rows[0] == raised_row
    similarity = found.candidates.columns["maxsim"][0]
    wanted = (
        5 + LATE_WEIGHT * similarity + READER_WEIGHT * 10
    )  # not bent: a reader's scores have no end at 1
    assert found.candidates.score[0] == pytest.approx(wanted, abs=1e-5)


def test_a_query_without_tokens_is_ranked_as_before(opened: Bundle) -> None:
    snapshot = read_by(Longest(), opened)
    nothing = [replace(query, text=" ") for query in (BY_TOKENS, BY_READER)]
    before, after = ([one.id for one in ask(snapshot, query).hits] for query in nothing)
    assert before == after


def test_answers_are_those_of_the_same_passages_ranked_by_tokens(opened: Bundle) -> None:
    """What the reader says of a passage counts once: in its spans."""
    question = replace(BY_READER, read=ReadOptions(len(ODD), 0.0))
    snapshot = Snapshot(pointed(opened, Pointing(), rank_weight=40.0), 1)
    tokens, reader = (ask(snapshot, replace(question, rank=rank)) for rank in ("maxsim", "reader"))
    assert tokens.answers
    wanted = {(one.text, one.passage.id): one.score for one in tokens.answers}
    assert {
        (one.text, one.passage.id): pytest.approx(one.score) for one in reader.answers
    } == wanted


def test_a_question_ranked_by_the_reader_reads_no_passage_twice(opened: Bundle) -> None:
    engine = Pointing()
    question = replace(BY_READER, top_k=5, read=ReadOptions(5, 0.0))
    result = ask(read_by(engine, opened), question)
    assert result.answers
    # All candidates, of which there are fewer than the reader ranks, once.
    assert sum(passages for passages, _ in engine.runs) == len(ODD) - len(UNREAD)
    assert result.degraded == []


def test_what_was_not_read_to_rank_is_read_to_answer(opened: Bundle) -> None:
    """More hits are read for answers than the reader ranks: only the others are read then."""
    engine = Pointing()
    reader = reader_of(opened, engine)
    assert opened.tokens is not None
    candidates = Candidates(np.arange(len(ODD)), {"dense": np.zeros(len(ODD), np.float32)})
    state = ranking(opened, reader, candidates)
    state = ranked(ReaderRanker(opened.tokens, reader, depth=4), state)
    before = sum(passages for passages, _ in engine.runs)
    state = replace(
        state,
        query=replace(BY_READER, read=ReadOptions(len(ODD), 0.0)),
        passages=tuple(opened.passages.get(state.candidates.rows.tolist())),
    )
    read = Read(opened.query_encoder(1), reader, None, CostModel())
    (answered,) = read([state])
    assert isinstance(answered, QueryState)
    assert answered.answers
    total = sum(passages for passages, _ in engine.runs)
    assert 0 < before < total == len(ODD) - len(UNREAD)


def test_beside_a_student_the_passages_encoder_reads_the_query(
    answering_bundle: Path, tmp_path: Path
) -> None:
    swap_encoder(answering_bundle, PROFILES["fast"], out := tmp_path / "fast.lurcher")
    with closing(Bundle.open(out)) as bundle:
        found = ask(Snapshot(bundle, 1), BY_READER).hits
    assert len(found) == len(ODD)


def test_without_time_to_read_hits_stay_as_they_are(opened: Bundle) -> None:
    snapshot = read_by(Longest(), opened)
    late = ask(snapshot, replace(BY_READER, deadline=perf_counter()))
    assert late.degraded == ["retrieve_lexical", "rank"]
    assert all("maxsim" not in one.scores for one in late.hits)


def test_reading_that_fails_is_the_query_s_alone(opened: Bundle) -> None:
    reader, tokens = read_by(Failing(), opened).run([BY_READER, BY_TOKENS])
    assert isinstance(reader, ModelError)
    assert isinstance(tokens, SearchResult)
