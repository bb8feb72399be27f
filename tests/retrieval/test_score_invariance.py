"""Known queries about other things move no score and no order, in any mode and however hits are ranked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.neighbours import VotingSettings
from lurcher.bundle.vectors import Vectors
from lurcher.feedback.online import Change, OnlineIndex
from lurcher.index_builder.adapt import adapt
from lurcher.index_builder.neighbours import NeighbourOptions
from lurcher.models.encoders.tokenizer import Tokens
from lurcher.models.neighbours.nearness import FAR
from lurcher.retrieval.fusion import best, fuse_adapted, fuse_votes
from lurcher.retrieval.query import Candidates, NeighbourMode, Query, QueryFeatures, RankMode
from lurcher.retrieval.results import Hit, SearchResult
from lurcher.retrieval.retrievers.neighbours import KnownQueries, VotingRetriever
from lurcher.retrieval.snapshot import Snapshot
from tests.tickets import TICKET, tickets

MOVED = 1e-6
DIMENSION, PASSAGES = 24, 20
SEEDS = st.integers(0, 2**32 - 1)
VOTING = st.builds(
    VotingSettings,
    neighbours=st.integers(1, 20),
    temperature=st.floats(0.02, 1),
    margin=st.floats(-0.3, 0.3),
    dense_weight=st.floats(0, 1),
)


def unit(vectors: Vectors) -> Vectors:
    normed: Vectors = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
    return normed


def features(vector: Vectors) -> QueryFeatures:
    """Those of a query of which nothing but the ``vector`` (d,) is known."""
    return QueryFeatures(Tokens([], truncated=False), vector)


def learnt(vectors: Vectors, rows: Sequence[int], passages: Vectors) -> OnlineIndex:
    """What is known after each of ``vectors`` was judged to be answered by the passage in one of ``rows``."""
    online = OnlineIndex(
        DIMENSION, lambda ids: {id_: int(id_) for id_ in ids}, lambda which: passages[which]
    )
    changes = [Change(f"q{i}", str(row), 1.0) for i, row in enumerate(rows)]
    online.learn(changes, [change.query for change in changes], vectors)
    return online


@given(SEEDS, VOTING, st.integers(0, 12), st.integers(1, 40))
def test_votes_of_queries_that_are_not_near_count_for_nothing(
    seed: int, voting: VotingSettings, some: int, others: int
) -> None:
    draw = np.random.default_rng(seed)
    passages = unit(draw.standard_normal((PASSAGES, DIMENSION)))
    (query,) = unit(draw.standard_normal((1, DIMENSION)))
    near = unit(query + draw.uniform(0, 0.5) * draw.standard_normal((some, DIMENSION)))
    far = unit(draw.standard_normal((4 * others, DIMENSION)))
    far = far[far @ query < FAR - 1e-3][:others]  # what is learnt is kept in half precision
    vectors = np.concatenate([near, far])
    rows = draw.integers(0, PASSAGES, len(vectors)).tolist()
    order = np.lexsort((np.arange(PASSAGES), -(passages @ query)))
    dense = Candidates(np.arange(PASSAGES), {"dense": passages @ query})

    def fused(count: int) -> Candidates:
        online = learnt(vectors[:count], rows[:count], passages)
        retriever = VotingRetriever(KnownQueries(None, online), voting, of_bundle=False)
        (voted,) = retriever.search([features(query)], [PASSAGES], [None])
        return best(fuse_votes(dense, voted, voting.dense_weight), PASSAGES)

    before, after = fused(some), fused(len(vectors))
    assert before.rows.tolist() == after.rows.tolist()
    np.testing.assert_allclose(before.score, after.score, atol=MOVED)
    if not some:
        assert after.rows.tolist() == order.tolist()
        np.testing.assert_allclose(after.score, dense.columns["dense"][order], atol=MOVED)


@given(SEEDS, VOTING, st.floats(0.3, 0.7))
def test_words_that_are_near_only_as_all_words_are_do_not_vote(
    seed: int, voting: VotingSettings, shared: float
) -> None:
    draw = np.random.default_rng(seed)
    passages = unit(draw.standard_normal((PASSAGES, DIMENSION)))
    # Each word has ``shared`` of the common direction, and a direction of its own.
    axes = np.linalg.qr(draw.standard_normal((DIMENSION, DIMENSION)))[0].T.astype(np.float32)
    words = np.sqrt(1 - shared) * axes[1:] + np.sqrt(shared) * axes[0]
    others = learnt(words[1:], draw.integers(0, PASSAGES, len(words) - 1).tolist(), passages)
    assert (words[1:] @ words[0] > FAR).all()
    retriever = VotingRetriever(KnownQueries(None, others, axes[0]), voting, of_bundle=False)
    (voted,) = retriever.search([features(words[0])], [PASSAGES], [None])
    assert not voted.columns["neighbours"].any()


@given(SEEDS, st.floats(0, 1))
def test_passages_moved_by_queries_that_are_not_near_are_where_they_were(
    seed: int, weight: float
) -> None:
    draw = np.random.default_rng(seed)
    passages = unit(draw.standard_normal((PASSAGES, DIMENSION)))
    (query,) = unit(draw.standard_normal((1, DIMENSION)))
    means = unit(draw.standard_normal((PASSAGES, DIMENSION)))
    means[draw.random(PASSAGES) < 0.3] = 0
    nothing = np.zeros_like(means)
    far = np.where((means @ query < FAR)[:, None], means, 0).astype(np.float32)
    found = Candidates(np.arange(PASSAGES), {"dense": passages @ query})
    bare, moved = (
        best(fuse_adapted(found, passages, some, query, weight), PASSAGES)
        for some in (nothing, far)
    )
    assert bare.rows.tolist() == moved.rows.tolist()
    np.testing.assert_allclose(bare.score, moved.score, atol=MOVED)


# Through snapshots, with texts.

RANKS: list[RankMode] = ["off", "maxsim", "decoder"]
LEARNT = [
    "zinc",
    "yacht charter",
    "tax return",
    "violin",
    "vat refund",
    "xylophone lessons",
    "hockey",
]
ASKED = ["a sleeping cat", "bread", "glaciers carve valleys", TICKET.format(7919), "eine Katze"]
KNOWN = 8  # passages that the bundle knows a query of


@pytest.fixture(scope="module")
def opened(
    small_bundle: Path,
    small_records: list[dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Snapshot]]:
    """A bundle that knows nothing, and one that knows a query of a few passages."""
    out = tmp_path_factory.mktemp("few") / "few.lurcher"
    adapt(small_bundle, tickets(small_records[:KNOWN]), NeighbourOptions(keep_unseen=0), out)
    with (
        closing(Snapshot(Bundle.open(small_bundle), 1)) as plain,
        closing(Snapshot(Bundle.open(out), 1)) as known,
    ):
        yield {"plain": plain, "known": known}


def answers(snapshot: Snapshot, queries: Sequence[Query]) -> list[list[Hit]]:
    found = []
    for result in snapshot.run(queries):
        assert isinstance(result, SearchResult), result
        found.append(result.hits)
    return found


@given(
    # In adapted mode a passage has one mean, so only passages without known queries are told of others.
    st.lists(
        st.tuples(st.sampled_from(LEARNT), st.integers(KNOWN, 59), st.floats(0.1, 9)),
        min_size=1, max_size=6,
    ),
    st.sampled_from(["auto", "voting", "adapted"]),
    st.sampled_from(RANKS),
    st.sampled_from([1, 10, 60]),
)  # fmt: skip
def test_feedback_about_other_things_moves_no_score_and_no_order(
    opened: dict[str, Snapshot], pairs: list[tuple[str, int, float]], mode: NeighbourMode,
    rank: RankMode, top_k: int,
) -> None:  # fmt: skip
    for snapshot in opened.values():
        known = snapshot.capabilities.known is not None
        ids = [passage.id for passage in snapshot.bundle.passages.get(range(60))]
        changes = [Change(text, ids[row], weight) for text, row, weight in pairs]
        told = snapshot.encode_queries([text for text, _, _ in pairs])
        similar = (snapshot.encode_queries(ASKED) @ told.T).max(axis=1)
        others = [text for text, most in zip(ASKED, similar, strict=True) if most < FAR]
        queries = [
            Query(text, top_k, neighbours=mode if known else "auto", rank=rank) for text in others
        ]
        before = answers(snapshot, queries)
        snapshot.learn(changes)
        after = answers(snapshot, queries)
        snapshot.learn([replace(change, weight=0.0) for change in changes])
        for old, new in zip(before, after, strict=True):
            assert [hit.id for hit in old] == [hit.id for hit in new]
            scores = [hit.score for hit in new]
            assert [hit.score for hit in old] == pytest.approx(scores, abs=MOVED)


def test_what_is_learnt_raises_the_passage_and_nothing_else(opened: dict[str, Snapshot]) -> None:
    text, snapshot = "zinc", opened["plain"]
    (before,) = answers(snapshot, [Query(text, 60)])
    change = Change(text, before[30].id, 1.0)
    snapshot.learn([change])
    (after,) = answers(snapshot, [Query(text, 60)])
    snapshot.learn([replace(change, weight=0.0)])
    assert after[0].id == change.passage
    assert before[30].score + 0.1 < after[0].score <= 1
    old = {hit.id: hit.score for hit in before}
    for hit in after[1:]:
        assert hit.score == pytest.approx(old[hit.id], abs=MOVED)
