"""The rank stage against its slow twin: every candidate's tokens, one by one, in plain loops."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Condition, Rows
from lurcher.bundle.vectors import Vectors
from lurcher.index_builder.adapt import adapt
from lurcher.index_builder.neighbours import Judged, NeighbourOptions
from lurcher.models.errors import FieldError, LurcherError
from lurcher.models.ranker.maxsim import LATE_WEIGHT
from lurcher.retrieval.pipeline import Found, Pipeline, Result
from lurcher.retrieval.ranking import CANDIDATES, Ranking
from lurcher.retrieval.searching import Hits, Query, Searching, Spoke
from tests.tickets import TICKET, tickets

ENGLISH = (Condition("lang", "in", ("en",)),)
NOTHING = (Condition("year", "range", (None, None, 1900, None)),)
PAST = 0.0  # on the clock of perf_counter, and nothing that is read now is earlier


@pytest.fixture(scope="module")
def pipeline(small_bundle: Path) -> Iterator[Pipeline]:
    bundle = Bundle.open(small_bundle)
    yield Pipeline(bundle, 1)
    bundle.close()


@pytest.fixture(scope="module")
def known(ticket_bundle: Path) -> Iterator[Pipeline]:
    bundle = Bundle.open(ticket_bundle)
    yield Pipeline(bundle, 1)
    bundle.close()


@pytest.fixture(scope="module")
def few(
    small_bundle: Path,
    small_records: list[dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pipeline]:
    """Of sixty passages eight have a known query."""
    out = tmp_path_factory.mktemp("few") / "few.lurcher"
    adapt(small_bundle, Judged(tickets(small_records[:8]).known, []), NeighbourOptions(), out)
    with closing(Bundle.open(out)) as bundle:
        yield Pipeline(bundle, 1)


def ask(pipeline: Pipeline, query: Query) -> Result:
    (result,) = pipeline.run([query])
    assert isinstance(result, Result), result
    return result


def late_twin(bundle: Bundle, text: str, rows: list[int]) -> list[float]:
    """How well the tokens of each of the passages at ``rows`` meet those of ``text``."""
    store = bundle.tokens
    assert store is not None
    encoder = bundle.query_encoder(1)
    (tokens,) = encoder.tokenise([text])
    states = encoder.encode_states([tokens])[1][0][1:-1]  # without [CLS] and [SEP]
    points, weights = store.coder.queries(states, tokens.ids[1:-1])
    totals = []
    for row in rows:
        codes = store.codes[store.starts[row] : store.starts[row + 1]]
        signs = [np.where(np.unpackbits(code) == 1, 1.0, -1.0) for code in codes]
        best = [
            max((float(sign @ point) / len(sign) ** 0.5 for sign in signs), default=-1.0)
            for point in points
        ]
        totals.append(float(np.dot(best, weights)))
    return totals


def first_stage(pipeline: Pipeline, query: Query, depth: int) -> list[Found]:
    return ask(pipeline, replace(query, rank="off", top_k=depth)).found


def twin(pipeline: Pipeline, query: Query, dense_weight: float) -> dict[str, tuple[float, float]]:
    """The late and the final score of each candidate by its id, best first."""
    candidates = first_stage(pipeline, query, max(query.top_k, query.candidates or CANDIDATES))
    ids = [found.passage.id for found in candidates]
    rows = pipeline.bundle.passages.rows_of(ids)
    scored = {}
    lates = late_twin(pipeline.bundle, query.text, [rows[id_] for id_ in ids])
    for found, late in zip(candidates, lates, strict=True):
        final = found.score + dense_weight * LATE_WEIGHT * (late - found.dense)
        scored[found.passage.id] = (late, final)
    return dict(sorted(scored.items(), key=lambda one: -one[1][1]))


def assert_as_twin(pipeline: Pipeline, query: Query, dense_weight: float = 1.0) -> None:
    found = ask(pipeline, query).found
    wanted = list(twin(pipeline, query, dense_weight).items())[: query.top_k]
    assert [f.passage.id for f in found] == [id_ for id_, _ in wanted]
    assert np.allclose([(f.late, f.score) for f in found], [s for _, s in wanted], atol=1e-5)


@pytest.mark.parametrize(
    "query",
    [
        Query("a sleeping cat", 60),
        Query("eine Katze", 3, ENGLISH),
        Query("glaciers carve valleys", 5, candidates=7),
        Query("bread", 60, ENGLISH, rank="maxsim"),
        Query("!", 4),
    ],
)
def test_hits_are_ordered_as_the_twin_orders_them(pipeline: Pipeline, query: Query) -> None:
    assert_as_twin(pipeline, query)


@pytest.mark.parametrize("weight", [0.25, 1.0])
def test_votes_keep_their_part(known: Pipeline, weight: float) -> None:
    query = Query(TICKET.format(7919) + " and a cat sleeps", 20, mode="voting", dense_weight=weight)
    assert_as_twin(known, query, weight)
    for found in ask(known, query).found:
        assert found.neighbours is not None
        assert_stands_in(found, weight)


@pytest.mark.parametrize("weight", [None, 0.0, 0.25, 1.0])
def test_moved_passages_keep_their_part_and_others_are_ranked_alone(
    few: Pipeline, weight: float | None
) -> None:
    """Of a passage that no known query has moved the first stage's score is its own, so ranking is all."""
    known = few.bundle.neighbours
    assert known is not None
    moved = known.settings.adapted.dense_weight if weight is None else weight
    query = Query(
        TICKET.format(7919) + " and a cat sleeps", 60, mode="adapted", dense_weight=weight
    )
    found = ask(few, query).found
    unmoved = [one for one in found if one.neighbours == 0]
    assert (len(unmoved), len(found)) == (52, 60)
    for one in found:
        assert_stands_in(one, 1.0 if one.neighbours == 0 else moved)
    alone = ask(few, replace(query, mode="off", dense_weight=None)).found
    scores = {one.passage.id: one.score for one in alone}
    for one in unmoved:
        assert one.score == pytest.approx(scores[one.passage.id], abs=1e-3)


def assert_stands_in(found: Found, weight: float) -> None:
    """That late interaction has its part of the place that the inner product has by ``weight``."""
    assert found.mixed is not None
    assert found.late is not None
    wanted = found.mixed + weight * LATE_WEIGHT * (found.late - found.dense)
    assert found.score == pytest.approx(wanted, abs=1e-5)


def test_where_votes_alone_count_ranking_orders_what_they_leave_open(few: Pipeline) -> None:
    found = ask(few, Query(TICKET.format(7919), 60, mode="voting", dense_weight=0.0)).found
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    silent = [one for one in found if one.score == 0]
    assert 0 < len(silent) < len(found)
    own = [(1 - LATE_WEIGHT) * one.dense + LATE_WEIGHT * (one.late or 0) for one in silent]
    assert own == sorted(own, reverse=True)
    assert [one.dense for one in silent] != sorted((one.dense for one in silent), reverse=True)


@pytest.mark.parametrize("mode", ["adapted", "voting"])
def test_only_what_is_returned_is_explained(
    known: Pipeline, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    named = Searching._named

    def counted(self: Searching, numbers: Rows, *rest: Vectors) -> list[Spoke]:
        asked.append(len(numbers))
        return named(self, numbers, *rest)

    monkeypatch.setattr(Searching, "_named", counted)
    query = Query(TICKET.format(7919), 3, mode=mode, explain=True)  # type: ignore[arg-type]  # one of them
    found = ask(known, query).found
    assert len(asked) == len(found) == 3
    assert found[0].spoke
    assert [len(one.spoke or []) for one in found] == asked


def test_ranking_changes_the_order(pipeline: Pipeline) -> None:
    query = Query("the warm sill of a window", 60)
    ranked = [f.passage.id for f in ask(pipeline, query).found]
    plain = [f.passage.id for f in first_stage(pipeline, query, 60)]
    assert ranked != plain
    assert sorted(ranked) == sorted(plain)


def test_a_query_is_ranked_alike_alone_and_in_company(pipeline: Pipeline) -> None:
    texts = ["a sleeping cat", "brot " * 40, "music", "Le pain"]
    queries = [Query(text, 12, rank=rank) for text in texts for rank in ("auto", "off", "maxsim")]  # type: ignore[arg-type]
    for query, result in zip(queries, pipeline.run(queries), strict=True):
        assert isinstance(result, Result)
        alone = ask(pipeline, query).found
        assert [f.passage.id for f in result.found] == [f.passage.id for f in alone]
        for one, other in zip(result.found, alone, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-3)
            assert (one.late is None) == (query.rank == "off")


def test_nothing_found_is_nothing_ranked(pipeline: Pipeline) -> None:
    result = ask(pipeline, Query("a cat", 5, NOTHING, matches=True))
    assert result.found == []
    assert result.degraded == []


def test_no_time_left_leaves_the_first_stages_order(pipeline: Pipeline) -> None:
    late = Query("the warm sill of a window", 7, until=PAST, matches=True)
    soon = replace(late, until=perf_counter() + 60)
    lacking, ranked = pipeline.run([late, soon])
    assert isinstance(lacking, Result)
    assert isinstance(ranked, Result)
    plain = first_stage(pipeline, late, 7)
    assert [f.passage.id for f in lacking.found] == [f.passage.id for f in plain]
    assert np.allclose([f.score for f in lacking.found], [f.dense for f in plain], atol=1e-5)
    assert all(f.late is None and f.matches is None for f in lacking.found)
    assert (lacking.degraded, ranked.degraded) == (["rank"], [])
    assert len(ranked.found) == 7


def test_one_slow_ranking_does_not_end_all_ranking(small_bundle: Path) -> None:
    bundle = Bundle.open(small_bundle)
    pipeline = Pipeline(bundle, 1)
    (tokens,) = bundle.query_encoder(1).tokenise(["a cat"])
    ranking = Ranking(bundle.tokens)
    ranking._seconds_a_token["maxsim"] = 1.0  # a disk that stood still
    encoder = bundle.query_encoder(1)
    asked = ranking.asked(encoder, tokens, encoder.encode_states([tokens])[1][0])
    rows = np.arange(60)
    hits = Hits(rows, bundle.vectors.vectors(rows) @ encoder.encode(["a cat"])[0])
    tries = 0
    while ranking.run(Query("a cat", until=perf_counter() + 10), asked, hits).rank is None:
        tries += 1
        assert tries < 100
    assert tries > 0
    assert ask(pipeline, Query("a cat")).degraded == []
    bundle.close()


def test_a_long_query_is_known_to_take_longer(small_bundle: Path) -> None:
    """A deadline that leaves time for a short query leaves none for one of as many tokens as are read."""
    with closing(Bundle.open(small_bundle)) as bundle:
        ranking, encoder = Ranking(bundle.tokens), bundle.query_encoder(1)
        rows = np.arange(60)

        def ranked(text: str) -> bool:
            ranking._seconds_a_token["maxsim"] = 1.0
            (tokens,) = encoder.tokenise([text])
            vectors, states = encoder.encode_states([tokens])
            asked = ranking.asked(encoder, tokens, states[0])
            hits = Hits(rows, bundle.vectors.vectors(rows) @ vectors[0])
            # Sixty candidates times twenty tokens, what is the same for all among them, and twice that.
            query = Query(text, until=perf_counter() + 2 * 60 * 20 + 60)
            return ranking.run(query, asked, hits).rank is not None

        assert ranked("cat " * 12)
        assert not ranked("cat " * 14)
        assert not ranked("cat " * 300)


def test_a_bundle_without_tokens_ranks_nothing_and_says_so_if_it_must(
    tokenless_bundle: Path,
) -> None:
    bundle = Bundle.open(tokenless_bundle)
    pipeline = Pipeline(bundle, 1)
    auto, off, maxsim = pipeline.run(
        [Query("a cat"), Query("a cat", rank="off"), Query("a cat", rank="maxsim")]
    )
    assert isinstance(auto, Result)
    assert isinstance(off, Result)
    assert auto.found == off.found
    assert auto.degraded == []
    assert isinstance(maxsim, LurcherError)
    assert isinstance(maxsim, FieldError)
    assert maxsim.field == "rank"
    assert "lurcher build" in maxsim.reason
    bundle.close()


# The decoder.


def test_a_decoder_ranks_what_late_interaction_ranked(pipeline: Pipeline) -> None:
    query = Query("what makes the dough rise", top_k=60)
    plain, deep = ask(pipeline, query), ask(pipeline, replace(query, rank="decoder"))
    late = {one.passage.id: one.score for one in plain.found}
    assert {one.passage.id for one in deep.found} == set(late)
    bundle = pipeline.bundle
    decoder, store = bundle.decoder(1), bundle.tokens
    assert decoder is not None
    assert store is not None
    encoder = bundle.query_encoder(1)
    (tokens,) = encoder.tokenise([query.text])
    states = encoder.encode_states([tokens])[1][0][1:-1]
    points, weights = store.coder.queries(states, tokens.ids[1:-1])
    for one in deep.found:
        row = bundle.passages.rows_of([one.passage.id])[one.passage.id]
        codes, counts = store.of(np.array([row]))
        prior = np.array([late[one.passage.id]], np.float32)
        (score,) = decoder.scores(states, weights, points, codes, counts, prior)
        assert one.score == pytest.approx(float(score), abs=1e-4)
    assert [one.score for one in deep.found] == sorted((o.score for o in deep.found), reverse=True)


def test_known_queries_keep_their_part_beside_a_decoder(known: Pipeline) -> None:
    query = Query(TICKET, top_k=60, mode="voting", dense_weight=0.0)
    off, deep = ask(known, replace(query, rank="off")), ask(known, replace(query, rank="decoder"))
    mixed = {one.passage.id: one.mixed for one in off.found}
    for one in deep.found:  # where the vectors count nothing, neither does what stands in for them
        assert one.score == pytest.approx(one.mixed, abs=1e-6)
        assert one.mixed == pytest.approx(mixed[one.passage.id], abs=1e-6)


def test_a_bundle_without_a_decoder_says_how_to_get_one(small_bundle: Path) -> None:
    with closing(Bundle.open(small_bundle)) as bundle:
        error = Ranking(bundle.tokens).plan(Query("a cat", rank="decoder"))
    assert isinstance(error, FieldError)
    assert error.field == "rank"
    assert "swap-ranker" in error.reason
    assert "build --ranker" in error.reason
