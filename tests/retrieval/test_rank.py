"""The rank stage against its slow reference: every candidate's tokens, one by one, in plain loops."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np
import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Condition, Passage, Passages
from lurcher.errors import FieldError
from lurcher.index_builder.adapt import adapt
from lurcher.index_builder.neighbours import Judged, NeighbourOptions
from lurcher.models.neighbours.nearness import nearness
from lurcher.models.neighbours.votes import boost, raised
from lurcher.models.ranker.maxsim import LATE_WEIGHT
from lurcher.retrieval.capabilities import CANDIDATES
from lurcher.retrieval.costs import CostModel
from lurcher.retrieval.fusion import UNRANKED, answered_share
from lurcher.retrieval.query import Candidates, Plan, Query, QueryState
from lurcher.retrieval.rankers.maxsim import MaxSimRanker
from lurcher.retrieval.results import Hit, SearchResult
from lurcher.retrieval.snapshot import Snapshot
from lurcher.retrieval.stages.encode import Encode, Planned
from lurcher.retrieval.stages.rank import Rank
from tests.retrieval.hybrid.searching import word_weight
from tests.tickets import TICKET, tickets

ENGLISH = (Condition("lang", "in", ("en",)),)
NOTHING = (Condition("year", "range", (None, None, 1900, None)),)
PAST = 0.0  # on the clock of perf_counter, and nothing that is read now is earlier
EXPLAINED = frozenset({"contributing_neighbours", "token_alignment"})


@pytest.fixture(scope="module")
def snapshot(small_bundle: Path) -> Iterator[Snapshot]:
    bundle = Bundle.open(small_bundle)
    yield Snapshot(bundle, 1)
    bundle.close()


@pytest.fixture(scope="module")
def known(ticket_bundle: Path) -> Iterator[Snapshot]:
    bundle = Bundle.open(ticket_bundle)
    yield Snapshot(bundle, 1)
    bundle.close()


@pytest.fixture(scope="module")
def few(
    small_bundle: Path,
    small_records: list[dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Snapshot]:
    """Of sixty passages eight have a known query."""
    out = tmp_path_factory.mktemp("few") / "few.lurcher"
    adapt(small_bundle, Judged(tickets(small_records[:8]).known, []), NeighbourOptions(), out)
    with closing(Bundle.open(out)) as bundle:
        yield Snapshot(bundle, 1)


def ask(snapshot: Snapshot, query: Query) -> SearchResult:
    (result,) = snapshot.run([query])
    assert isinstance(result, SearchResult), result
    return result


def maxsim_reference(bundle: Bundle, text: str, rows: list[int]) -> list[float]:
    """How well the tokens of each of the passages at ``rows`` meet those of ``text``."""
    store = bundle.tokens
    assert store is not None
    encoder = bundle.query_encoder(1)
    (tokens,) = encoder.tokenise([text])
    states = encoder.encode_states([tokens])[1][0][1:-1]  # without [CLS] and [SEP]
    projected, weights = store.coder.queries(states, tokens.ids[1:-1])
    totals = []
    for row in rows:
        codes, _ = store.gather(np.array([row]))
        signs = [np.where(np.unpackbits(code) == 1, 1.0, -1.0) for code in codes]
        best = [
            max((float(sign @ point) / len(sign) ** 0.5 for sign in signs), default=-1.0)
            for point in projected
        ]
        totals.append(float(np.dot(best, weights)))
    return totals


def first_stage(snapshot: Snapshot, query: Query, depth: int) -> list[Hit]:
    return ask(snapshot, replace(query, rank="off", top_k=depth)).hits


def reference(
    snapshot: Snapshot, query: Query, dense_weight: float
) -> dict[str, tuple[float, float]]:
    """The maxsim and the final score of each candidate by its id, best first."""
    candidates = first_stage(snapshot, query, max(query.top_k, query.candidates or CANDIDATES))
    ids = [hit.id for hit in candidates]
    rows = snapshot.bundle.passages.rows_of(ids)
    scored = {}
    similarities = maxsim_reference(snapshot.bundle, query.text, [rows[id_] for id_ in ids])
    for hit, maxsim in zip(candidates, similarities, strict=True):
        blend = hit.scores["dense"] + LATE_WEIGHT * (maxsim - hit.scores["dense"])
        final = with_votes(blend, hit, dense_weight) + worded(snapshot, query, hit)
        scored[hit.id] = (maxsim, final)
    return dict(sorted(scored.items(), key=lambda one: -one[1][1]))


def worded(snapshot: Snapshot, query: Query, hit: Hit) -> float:
    """What the words that ``hit`` shares with ``query`` add to a ranked score."""
    return weight_of_words(snapshot, query) * hit.scores["lexical"]


@cache
def weight_of_words(snapshot: Snapshot, query: Query) -> float:
    hits = first_stage(snapshot, query, 60)
    near = np.array([hit.scores.get("neighbours", 0) for hit in hits], np.float32)
    plan, gain = snapshot.capabilities.plan(query), snapshot.bundle.manifest.figures.lexical_gain
    assert gain is not None
    answered = answered_share(near, adapted=plan.neighbours == "adapted")
    return word_weight(snapshot, query.text, gain, answered)


def with_votes(score: float, hit: Hit, dense_weight: float, bent: bool = True) -> float:
    """``score`` raised by what known queries say of ``hit``, with the weight lambda."""
    added = boost(np.float32([hit.scores.get("neighbours", 0)]), dense_weight)
    return float(raised(np.float32([score]), added, bent)[0])


def assert_as_reference(snapshot: Snapshot, query: Query, dense_weight: float = 1.0) -> None:
    hits = ask(snapshot, query).hits
    wanted = list(reference(snapshot, query, dense_weight).items())[: query.top_k]
    assert [hit.id for hit in hits] == [id_ for id_, _ in wanted]
    found = [(hit.scores["maxsim"], hit.score) for hit in hits]
    assert np.allclose(found, [scores for _, scores in wanted], atol=1e-5)


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
def test_hits_are_ordered_as_the_reference_orders_them(snapshot: Snapshot, query: Query) -> None:
    assert_as_reference(snapshot, query)


@pytest.mark.parametrize("weight", [0.25, 1.0])
def test_votes_keep_their_part(known: Snapshot, weight: float) -> None:
    query = Query(
        TICKET.format(7919) + " and a cat sleeps", 20, neighbours="voting", dense_weight=weight
    )
    assert_as_reference(known, query, weight)
    for hit in ask(known, query).hits:
        scores = hit.scores
        blend = scores["dense"] + LATE_WEIGHT * (scores["maxsim"] - scores["dense"])
        share = worded(known, query, hit)
        wanted = with_votes(blend, hit, weight) + share
        assert hit.score == scores["rank"] == pytest.approx(wanted, abs=1e-5)
        wanted = with_votes(scores["dense"], hit, weight) + UNRANKED * share
        assert scores["fused"] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("weight", [None, 0.0, 0.25, 1.0])
def test_moved_passages_keep_their_part_and_others_are_ranked_alone(
    few: Snapshot, weight: float | None
) -> None:
    """Of a passage that no known query has moved the first stage's score is its own, so ranking is all."""
    known = few.bundle.neighbours
    assert known is not None
    moved = known.settings.adapted.dense_weight if weight is None else weight
    query = Query(
        TICKET.format(7919) + " and a cat sleeps", 60, neighbours="adapted", dense_weight=weight
    )
    found = ask(few, query).hits
    unmoved = [one for one in found if one.scores["neighbours"] == 0]
    assert (len(unmoved), len(found)) == (52, 60)
    for one in found:
        near = float(nearness(np.float32([one.scores["neighbours"]]))[0])
        assert_stands_in(one, 1 - near * (1 - moved), worded(few, query, one))
    off = replace(query, neighbours="off", dense_weight=None)
    scores = {one.id: one.score - worded(few, off, one) for one in ask(few, off).hits}
    for one in unmoved:
        assert one.score - worded(few, query, one) == pytest.approx(scores[one.id], abs=1e-3)


def assert_stands_in(hit: Hit, weight: float, share: float) -> None:
    """That late interaction has its part of the place that the inner product has by ``weight``.

    ``share`` is what words add.
    """
    scores = hit.scores
    moved = scores["fused"] - UNRANKED * share
    wanted = moved + share + weight * LATE_WEIGHT * (scores["maxsim"] - scores["dense"])
    assert hit.score == scores["rank"] == pytest.approx(wanted, abs=1e-5)


def test_what_votes_leave_open_is_scored_as_if_there_were_none(few: Snapshot) -> None:
    query = Query(TICKET.format(7919), 60, neighbours="voting", dense_weight=0.0)
    found = ask(few, query).hits
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    silent = [one for one in found if one.scores["neighbours"] == 0]
    assert 0 < len(silent) < len(found)
    alone = {one.id: one.score for one in ask(few, replace(query, neighbours="off")).hits}
    for one in silent:
        assert one.score == pytest.approx(alone[one.id], abs=1e-6)
    dense = [one.scores["dense"] for one in silent]
    assert dense != sorted(dense, reverse=True)


class Counted:
    """In the place of a bundle's texts of known queries: counts how many are read."""

    def __init__(self, texts: Passages) -> None:
        self._texts, self.read = texts, 0

    def get(self, rows: list[int]) -> list[Passage]:
        self.read += len(rows)
        return self._texts.get(rows)


@pytest.mark.parametrize("mode", ["adapted", "voting"])
def test_only_what_is_returned_is_explained(
    ticket_bundle: Path, mode: Literal["adapted", "voting"]
) -> None:
    with closing(Bundle.open(ticket_bundle)) as bundle:
        assert bundle.neighbours is not None
        texts = Counted(bundle.neighbours.texts)
        counted = replace(bundle.neighbours, texts=texts)  # type: ignore[arg-type]  # quacks
        snapshot = Snapshot(replace(bundle, neighbours=counted), 1)
        query = Query(TICKET.format(7919), 3, neighbours=mode, extras=EXPLAINED)
        hits = ask(snapshot, query).hits
        read = texts.read
        ask(snapshot, replace(query, extras=frozenset()))
    named = [hit.explanation.contributing_neighbours or [] for hit in hits]
    assert len(named) == 3
    assert named[0]
    assert read == texts.read == sum(len(one) for one in named)


def test_ranking_changes_the_order(snapshot: Snapshot) -> None:
    query = Query("the warm sill of a window", 60)
    ranked = [f.id for f in ask(snapshot, query).hits]
    plain = [f.id for f in first_stage(snapshot, query, 60)]
    assert ranked != plain
    assert sorted(ranked) == sorted(plain)


def test_a_query_is_ranked_alike_alone_and_in_company(snapshot: Snapshot) -> None:
    texts = ["a sleeping cat", "brot " * 40, "music", "Le pain"]
    queries = [Query(text, 12, rank=rank) for text in texts for rank in ("auto", "off", "maxsim")]  # type: ignore[arg-type]
    for query, result in zip(queries, snapshot.run(queries), strict=True):
        assert isinstance(result, SearchResult)
        alone = ask(snapshot, query).hits
        assert [f.id for f in result.hits] == [f.id for f in alone]
        for one, other in zip(result.hits, alone, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-3)
            assert ("maxsim" in one.scores) == (query.rank != "off")


def test_nothing_found_is_nothing_ranked(snapshot: Snapshot) -> None:
    result = ask(snapshot, Query("a cat", 5, NOTHING, extras=EXPLAINED))
    assert result.hits == []
    assert result.degraded == []


def test_no_time_left_leaves_the_first_stages_order(snapshot: Snapshot) -> None:
    late = Query("the warm sill of a window", 7, deadline=PAST, extras=EXPLAINED)
    soon = replace(late, deadline=perf_counter() + 60)
    lacking, ranked = snapshot.run([late, soon])
    assert isinstance(lacking, SearchResult)
    assert isinstance(ranked, SearchResult)
    plain = first_stage(snapshot, replace(late, retrieve="dense", deadline=None), 7)
    assert [f.id for f in lacking.hits] == [f.id for f in plain]
    assert np.allclose([f.score for f in lacking.hits], [f.score for f in plain], atol=1e-5)
    assert all(set(f.scores) == {"dense"} for f in lacking.hits)
    assert all(f.explanation.token_alignment is None for f in lacking.hits)
    assert all(f.explanation.token_alignment for f in ranked.hits)
    assert (lacking.degraded, ranked.degraded) == (["retrieve_lexical", "rank"], [])
    assert len(ranked.hits) == 7


def test_one_slow_ranking_does_not_end_all_ranking(small_bundle: Path) -> None:
    with closing(Bundle.open(small_bundle)) as bundle:
        slow = CostModel({"maxsim": 1.0})  # as if a disk had stood still
        snapshot = Snapshot(bundle, 1, costs=slow)
        tries = 0
        while ask(snapshot, Query("a cat", deadline=perf_counter() + 10)).degraded:
            tries += 1
            assert tries < 100
        assert tries > 0
        assert ask(snapshot, Query("a cat")).degraded == []


def test_a_long_query_is_known_to_take_longer(small_bundle: Path) -> None:
    """A deadline that leaves time for a short query leaves none for one of as many tokens as are read."""
    with closing(Bundle.open(small_bundle)) as bundle:
        store, encoder = bundle.tokens, bundle.query_encoder(1)
        assert store is not None
        encode, ranker = Encode(encoder, store, None, None), MaxSimRanker(store)
        rows = np.arange(60)

        def ranked(text: str) -> bool:
            # Sixty candidates times twenty tokens, what is the same for all among them, and twice that.
            query = Query(text, deadline=perf_counter() + 2 * 60 * 20 + 60)
            (state,) = encode([Planned(query, Plan("maxsim", "off", ("dense",), 60, 60), None)])
            dense = bundle.vectors.vectors(rows) @ state.features.vector
            state = replace(state, candidates=Candidates(rows, {"dense": dense}))
            (done,) = Rank({"maxsim": ranker}, CostModel({"maxsim": 1.0}))([state])
            assert isinstance(done, QueryState)
            assert len(done.candidates.rows) == 10
            assert ("rank" in done.candidates.columns) == (done.degraded == ())
            return done.degraded == ()

        assert ranked("cat " * 12)
        assert not ranked("cat " * 14)
        assert not ranked("cat " * 300)


def test_a_bundle_without_tokens_ranks_nothing_and_says_so_if_it_must(
    tokenless_bundle: Path,
) -> None:
    bundle = Bundle.open(tokenless_bundle)
    snapshot = Snapshot(bundle, 1)
    auto, off, maxsim = snapshot.run(
        [Query("a cat"), Query("a cat", rank="off"), Query("a cat", rank="maxsim")]
    )
    assert isinstance(auto, SearchResult)
    assert isinstance(off, SearchResult)
    assert auto.hits == off.hits
    assert auto.degraded == []
    assert isinstance(maxsim, FieldError)
    assert maxsim.field == "rank"
    assert "lurcher build" in maxsim.reason
    bundle.close()


# The decoder.


def test_a_decoder_ranks_what_late_interaction_ranked(snapshot: Snapshot) -> None:
    query = Query("what makes the dough rise", top_k=60)
    plain, deep = ask(snapshot, query), ask(snapshot, replace(query, rank="decoder"))
    prior_of = {one.id: one.score for one in plain.hits}
    assert {one.id for one in deep.hits} == set(prior_of)
    bundle = snapshot.bundle
    decoder, store = bundle.decoder(1), bundle.tokens
    assert decoder is not None
    assert store is not None
    encoder = bundle.query_encoder(1)
    (tokens,) = encoder.tokenise([query.text])
    states = encoder.encode_states([tokens])[1][0][1:-1]
    projected, weights = store.coder.queries(states, tokens.ids[1:-1])
    for one in deep.hits:
        row = bundle.passages.rows_of([one.id])[one.id]
        codes, counts = store.gather(np.array([row]))
        prior = np.array([prior_of[one.id]], np.float32)
        (score,) = decoder.scores(states, weights, projected, codes, counts, prior)
        assert one.score == pytest.approx(float(score), abs=1e-4)
    assert [one.score for one in deep.hits] == sorted((o.score for o in deep.hits), reverse=True)


def test_known_queries_keep_their_part_beside_a_decoder(known: Snapshot) -> None:
    query = Query(TICKET, top_k=60, neighbours="voting", dense_weight=0.0)
    off, deep = ask(known, replace(query, rank="off")), ask(known, replace(query, rank="decoder"))
    alone = ask(known, replace(query, rank="decoder", neighbours="off"))
    fused = {one.id: one.scores["fused"] for one in off.hits}
    ranked = {one.id: one.score for one in alone.hits}
    for one in deep.hits:
        assert one.scores["fused"] == pytest.approx(fused[one.id], abs=1e-6)
        wanted = with_votes(ranked[one.id], one, 0.0, bent=False)
        assert one.score == pytest.approx(wanted, abs=1e-4)
