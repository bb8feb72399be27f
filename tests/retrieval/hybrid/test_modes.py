"""``retrieve`` in all modes: filters, order, folding, groups, batches, and beside known queries."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Condition
from lurcher.errors import FieldError
from lurcher.feedback.online import Change
from lurcher.retrieval.fusion import UNRANKED, answered_share
from lurcher.retrieval.query import NeighbourMode, Query, RankMode, RetrieveMode
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from tests.retrieval.hybrid.searching import (
    ENGLISH,
    LATE,
    MODES,
    NOTHING,
    RANKS,
    TEXTS,
    ask,
    gaining,
    ids,
    word_weight,
)
from tests.tickets import TICKET
from tests.tiny import TinyOptions, build

modes, ranks, texts = st.sampled_from(MODES), st.sampled_from(RANKS), st.sampled_from(TEXTS)
filters = st.sampled_from([ENGLISH, LATE, (*ENGLISH, *LATE), NOTHING])


def meets(metadata: dict[str, object], conditions: tuple[Condition, ...]) -> bool:
    return all(
        metadata["lang"] == "en" if condition.field == "lang" else
        metadata["year"] > 2010 if condition in LATE else False  # type: ignore[operator]  # years are numbers
        for condition in conditions
    )  # fmt: skip


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("text", TEXTS)
def test_dense_is_what_a_bundle_without_words_finds(
    snapshot: Snapshot, wordless: Snapshot, text: str, rank: RankMode
) -> None:
    for query in (Query(text, 60, rank=rank), Query(text, 5, ENGLISH, rank=rank, candidates=7)):
        found, wanted = (
            ask(snapshot, replace(query, retrieve="dense")), ask(wordless, query)
        )  # fmt: skip
        assert found.hits == wanted.hits  # to the last bit
        assert "retrieve_lexical" not in found.seconds


def test_auto_is_hybrid_where_both_indexes_are(snapshot: Snapshot, wordless: Snapshot) -> None:
    for text in TEXTS:
        query = Query(text, 60)
        assert ask(snapshot, query).hits == ask(snapshot, replace(query, retrieve="hybrid")).hits
        assert ask(wordless, query).hits == ask(wordless, replace(query, retrieve="dense")).hits


@given(texts, modes, ranks, filters)
def test_a_filter_leaves_the_order_and_the_scores_of_what_meets_it(
    snapshot: Snapshot, text: str, mode: RetrieveMode, rank: RankMode, conditions: tuple[Condition, ...]
) -> None:  # fmt: skip
    query = Query(text, 60, retrieve=mode, rank=rank, candidates=60)
    everything = ask(snapshot, query).hits
    wanted = [hit for hit in everything if meets(hit.passage.metadata, conditions)]
    found = ask(snapshot, replace(query, conditions=conditions)).hits
    assert ids(found) == ids(wanted)
    scores = [hit.score for hit in wanted]
    assert [hit.score for hit in found] == pytest.approx(scores, abs=2e-6)


@given(texts, modes, ranks, st.integers(1, 60))
def test_fewer_hits_are_the_first_of_more(
    snapshot: Snapshot, text: str, mode: RetrieveMode, rank: RankMode, top_k: int
) -> None:
    query = Query(text, 60, retrieve=mode, rank=rank, candidates=60)
    found = ids(ask(snapshot, replace(query, top_k=top_k)).hits)
    assert found == ids(ask(snapshot, query).hits)[:top_k]


def test_a_batch_of_all_modes_finds_what_each_finds_alone(snapshot: Snapshot) -> None:
    queries = [
        Query(text, 12, retrieve=mode, rank=rank, query_syntax=syntax)
        for text in ("a sleeping cat", 'the "glacier" valley')
        for mode in MODES
        for rank in RANKS
        for syntax in ("plain", "phrase")
    ]  # fmt: skip
    for query, result in zip(queries, snapshot.run(queries), strict=True):
        assert isinstance(result, SearchResult)
        alone = ask(snapshot, query).hits
        assert ids(result.hits) == ids(alone)
        scores = [hit.score for hit in alone]
        assert [hit.score for hit in result.hits] == pytest.approx(scores, abs=1e-3)
        assert [set(hit.scores) for hit in result.hits] == [set(hit.scores) for hit in alone]


# What each shows.


@pytest.mark.parametrize(
    ("mode", "rank", "scores", "stages"),
    [
        ("dense", "off", {"dense"}, {"retrieve_dense"}),
        ("dense", "maxsim", {"dense", "maxsim", "rank"}, {"retrieve_dense"}),
        ("lexical", "off", {"lexical"}, {"retrieve_lexical"}),
        ("lexical", "maxsim", {"dense", "lexical", "fused", "maxsim", "rank"}, {"retrieve_lexical"}),
        ("hybrid", "off", {"dense", "lexical", "fused"}, {"retrieve_dense", "retrieve_lexical"}),
        ("hybrid", "maxsim", {"dense", "lexical", "fused", "maxsim", "rank"},
         {"retrieve_dense", "retrieve_lexical"}),
    ],
)  # fmt: skip
def test_scores_and_stages_are_those_that_ran(
    snapshot: Snapshot, mode: RetrieveMode, rank: RankMode, scores: set[str], stages: set[str]
) -> None:
    extras = frozenset({"highlights", "token_alignment", "contributing_neighbours"})
    query = Query("a sleeping cat", 4, retrieve=mode, rank=rank, extras=extras)  # type: ignore[arg-type]  # all of them
    result = ask(snapshot, query)
    assert {name for name in result.seconds if name.startswith("retrieve")} == stages
    assert result.hits
    for hit in result.hits:
        assert set(hit.scores) == scores
        assert bool(hit.explanation.token_alignment) is (rank != "off")
        assert hit.explanation.contributing_neighbours == []


def test_words_alone_find_nothing_that_has_none_of_them(snapshot: Snapshot) -> None:
    for rank in RANKS:
        assert ask(snapshot, Query("xylophone", retrieve="lexical", rank=rank)).hits == []
        found = ask(snapshot, Query("orchestra", 60, retrieve="lexical", rank=rank)).hits
        assert found
        assert all("orchestra" in hit.text for hit in found)


# Copies, groups.


@pytest.fixture(scope="module")
def copied(
    build_once: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Snapshot]:
    """Thirty copies of a notice, half of them in another folder, among a few others."""
    corpus = tmp_path_factory.mktemp("copies") / "c.jsonl"
    notice = "The cat sleeps on the warm windowsill of the house."
    records = [{"id": f"n{i:02}", "text": notice, "lang": "ab"[i % 2]} for i in range(30)]
    records += [
        {"id": "orchestra", "text": "A cat sleeps in the orchestra.", "lang": "a"},
        {"id": "bread", "text": "Bread rises because yeast turns sugar into gas.", "lang": "b"},
    ]
    corpus.write_text("".join(json.dumps(record) + "\n" for record in records))
    with closing(Bundle.open(build_once("copies-of-a-notice", corpus))) as bundle:
        yield Snapshot(gaining(bundle), 1)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rank", RANKS)
def test_equal_texts_are_in_the_order_of_the_corpus(
    copied: Snapshot, mode: RetrieveMode, rank: RankMode
) -> None:
    for top_k in (1, 7, 32):
        query = Query("the warm windowsill", top_k, retrieve=mode, rank=rank)
        found = [id_ for id_ in ids(ask(copied, query).hits) if id_.startswith("n")]
        assert found == [f"n{i:02}" for i in range(min(top_k, 30))]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rank", RANKS)
def test_copies_are_one_hit_with_their_number(
    copied: Snapshot, mode: RetrieveMode, rank: RankMode
) -> None:
    query = Query("a cat sleeps", 3, retrieve=mode, rank=rank, fold=True)
    found = {hit.id: hit.duplicates for hit in ask(copied, query).hits}
    assert found["n00"] == 29
    assert {"n00", "orchestra"} <= set(found) <= {"n00", "orchestra", "bread"}
    under = replace(query, conditions=(Condition("lang", "in", ("b",)),))
    found = {hit.id: hit.duplicates for hit in ask(copied, under).hits}
    assert found["n01"] == 14
    assert set(found) <= {"n01", "bread"}


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
    """A long document about cats of many passages, and two short ones."""
    folder = tmp_path_factory.mktemp("split")
    long = "\n\n".join(f"The cat sleeps on warm windowsill number {i}." for i in range(40))
    texts = {"long": long, "short": "A cat sleeps in the orchestra.", "bread": "Bread rises, cat."}
    corpus = folder / "c.jsonl"
    lines = [json.dumps({"id": id_, "text": text}) + "\n" for id_, text in texts.items()]
    corpus.write_text("".join(lines))
    build(corpus, folder / "c.lurcher", TinyOptions(window=20, overlap=0))
    with closing(Bundle.open(folder / "c.lurcher")) as bundle:
        yield Snapshot(gaining(bundle), 1)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rank", RANKS)
def test_grouped_hits_are_of_as_many_documents(
    split: Snapshot, mode: RetrieveMode, rank: RankMode
) -> None:
    query = Query("the cat on the warm windowsill", 3, retrieve=mode, rank=rank, candidates=3)
    plain = ask(split, query).hits
    assert {hit.passage.document for hit in plain} == {"long"}
    hits = ask(split, replace(query, group_by="document")).hits
    assert sorted(hit.passage.document for hit in hits) == ["bread", "long", "short"]


# Known queries.

ASKED = TICKET.format(44 * 7919) + " and the cat sleeps"


@pytest.mark.parametrize("neighbours", ["auto", "off", "adapted", "voting"])
@pytest.mark.parametrize("learnt", [False, True])
def test_words_add_the_same_whatever_known_queries_add(
    known: Snapshot, neighbours: NeighbourMode, learnt: bool
) -> None:
    change = Change("the cat sleeps and is open", "fr-music-3", 2.0)
    if learnt:
        known.learn([change])
    query = Query(ASKED, 60, neighbours=neighbours, rank="off")
    for rank, times in (("off", UNRANKED), ("maxsim", 1.0), ("decoder", 1.0)):
        dense, hybrid = (
            ask(known, replace(query, rank=rank, retrieve=mode)) for mode in ("dense", "hybrid")  # type: ignore[arg-type]  # they are
        )  # fmt: skip
        without = {hit.id: hit for hit in dense.hits}
        assert set(without) == set(ids(hybrid.hits))
        near = np.array([hit.scores.get("neighbours", 0.0) for hit in dense.hits], np.float32)
        adapted = "adapted" in (neighbours, known.capabilities.plan(query, learnt).neighbours)
        weight = times * word_weight(known, ASKED, answered=answered_share(near, adapted))
        assert weight > 0
        for hit in hybrid.hits:
            old = without[hit.id]
            wanted = old.score + weight * hit.scores["lexical"]
            # A decoder's scores are those of a network.
            assert hit.score == pytest.approx(wanted, abs=1e-4 if rank == "decoder" else 5e-6)
            assert hit.scores.get("neighbours") == old.scores.get("neighbours")
    if learnt:
        known.learn([replace(change, weight=0.0)])


def test_words_alone_leave_known_queries_out(known: Snapshot, snapshot: Snapshot) -> None:
    query = Query(ASKED, 60, retrieve="lexical", rank="maxsim")
    for neighbours in ("auto", "off"):
        found = ask(known, replace(query, neighbours=neighbours))  # type: ignore[arg-type]  # they are
        assert ids(found.hits) == ids(ask(snapshot, query).hits)
        assert all("neighbours" not in hit.scores for hit in found.hits)
    for neighbours in ("adapted", "voting"):
        (error,) = known.run([replace(query, neighbours=neighbours)])  # type: ignore[arg-type]  # they are
        assert isinstance(error, FieldError)
        assert error.field == "neighbours.mode"
        assert "retrieve" in error.reason
