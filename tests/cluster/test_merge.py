"""Candidates of several shards are those of one, however the passages are spread over them."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lurcher.cluster.merge import merged
from lurcher.cluster.messages import Found
from lurcher.cluster.sharding import rows_by_shard, shard_of
from lurcher.order import best_first, evened
from lurcher.retrieval.query import Candidates, Plan, RetrieverName

# Few different ones, some of them nearer to each other than counts.
SCORES = st.sampled_from([0.0, 0.25, 0.2500001, 0.5, 0.5000002, 0.7])


def part(rows: np.ndarray, dense: np.ndarray, lexical: np.ndarray, depth: int) -> Found:
    """What a shard with ``rows`` finds."""
    near = rows[best_first(evened(dense[rows]), rows, depth)]
    worded = rows[lexical[rows] > 0]
    worded = worded[best_first(lexical[worded], worded, depth)]
    found = np.union1d(near, worded)
    scores = {"dense": dense[found], "lexical": lexical[found]}
    return Found({"dense": near, "lexical": worded}, found, scores)


@given(
    st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=40), st.integers(1, 5),
    st.integers(1, 12), st.integers(0, 9),
)  # fmt: skip
def test_spread_over_shards_or_not(
    pairs: list[tuple[float, float]], shards: int, depth: int, seed: int
) -> None:
    dense, lexical = np.array(pairs, np.float32).T
    rows = np.arange(len(pairs))
    owner = np.random.default_rng(seed).integers(shards, size=len(rows))
    plan = Plan("maxsim", "off", ("dense", "lexical"), depth, depth, lexical_weight=0.4)
    # Deeper than is needed, as shards look, for what counts as equal to another's.
    deep = depth + len(rows)
    parts = {n: part(rows[owner == n], dense, lexical, deep) for n in range(shards)}
    many = merged(parts, plan, 0.2)
    one = merged({0: part(rows, dense, lexical, deep)}, plan, 0.2)
    assert many.candidates.rows.tolist() == one.candidates.rows.tolist()
    for name, column in one.candidates.columns.items():
        assert many.candidates.columns[name].tolist() == column.tolist()
    assert many.shards.tolist() == owner[many.candidates.rows].tolist()


@given(
    st.lists(st.tuples(SCORES, SCORES, SCORES, SCORES, SCORES), min_size=1, max_size=40),
    st.sampled_from(["adapted", "voting"]), st.booleans(), st.floats(0, 1), st.integers(1, 5),
    st.integers(1, 12), st.integers(0, 9),
)  # fmt: skip
def test_known_queries_spread_over_shards_or_not(
    columns: list[tuple[float, ...]], mode: Literal["adapted", "voting"], words: bool, named: float,
    shards: int, depth: int, seed: int,
) -> None:  # fmt: skip
    dense, lexical, neighbours, adapted, agreement = np.array(columns, np.float32).T
    rows, choose = np.arange(len(columns)), np.random.default_rng(seed)
    owner, allowed = choose.integers(shards, size=len(rows)), choose.random(len(rows)) < 0.8
    retrievers: list[RetrieverName] = ["dense", *(("lexical",) if words else ()), mode]
    plan = Plan("maxsim", mode, tuple(retrievers), depth, depth, 0.3, lexical_weight=0.4)

    def found(own: np.ndarray) -> Found:
        one = part(own, dense, lexical, len(rows))
        near = own[best_first(adapted[own], own)]
        lists = {**one.found, "adapted": near, "voting": own[allowed[own] & (neighbours[own] > 0)]}
        scores = {
            "dense": dense[own], "lexical": lexical[own], "adapted": adapted[own],
            "mean": neighbours[own], "agreement": agreement[own],
        }  # fmt: skip
        return Found({name: lists[name] for name in retrievers}, own, scores)

    def votes(own: np.ndarray) -> Candidates:
        return Candidates(
            own[neighbours[own] > 0], {"neighbours": neighbours[own][neighbours[own] > 0]}
        )

    each = {n: rows[owner == n] for n in range(shards)}
    many = merged(
        {n: found(own) for n, own in each.items()}, plan, named,
        {n: votes(own) for n, own in each.items()},
    )  # fmt: skip
    one = merged({0: found(rows)}, plan, named, {0: votes(rows)})
    assert many.candidates.rows.tolist() == one.candidates.rows.tolist()
    for name, column in one.candidates.columns.items():
        assert many.candidates.columns[name].tolist() == column.tolist()
    if mode == "voting":
        voted = one.candidates.columns["neighbours"] > 0
        assert allowed[one.candidates.rows[voted]].all()


@given(st.lists(st.text(max_size=4), min_size=1), st.integers(1, 6))
def test_a_document_lies_in_one_shard(documents: list[str], shards: int) -> None:
    split = rows_by_shard(documents, shards)
    assert sorted(row for rows in split for row in rows.tolist()) == list(range(len(documents)))
    for number, rows in enumerate(split):
        assert {shard_of(documents[row], shards) for row in rows.tolist()} <= {number}


def test_the_shard_of_an_id_stays_what_it_is() -> None:
    # Writes go where the build put a document, in any later version.
    assert [shard_of(one, 7) for one in ("", "a", "docs/index.md", "\ud800")] == [0, 2, 5, 3]


@given(st.text(max_size=4), st.lists(st.integers(0, 99), min_size=1, max_size=2), st.integers(1, 6))
def test_ids_that_could_be_of_parts_lie_where_the_document_does(
    document: str, numbers: list[int], shards: int
) -> None:
    part = "#".join([document, *map(str, numbers)])
    assert shard_of(part, shards) == shard_of(document, shards)


def test_votes_for_a_shard_that_is_missing_change_no_score_elsewhere() -> None:
    """A query that is a name, and a known query that means the same: the name counts less."""
    rows, dense = np.arange(6), np.linspace(0.6, 0.1, 6, dtype=np.float32)
    lexical = np.linspace(0.2, 0.7, 6, dtype=np.float32)
    cast = {1: Candidates(np.array([3]), {"neighbours": np.array([0.4], np.float32)})}
    plan = Plan(None, "voting", ("dense", "lexical", "voting"), 6, 6, 0.5, lexical_weight=0.4)
    parts = {n: part(rows[rows % 2 == n], dense, lexical, 6) for n in range(2)}
    parts = {
        n: replace(one, found={**one.found, "voting": cast[n].rows if n in cast else rows[:0]})
        for n, one in parts.items()
    }
    whole = merged(parts, plan, 1.0, cast).candidates
    left = merged({0: parts[0]}, plan, 1.0, cast).candidates
    assert sorted(left.rows.tolist()) == [0, 2, 4]
    scores = dict(zip(whole.rows.tolist(), whole.score.tolist(), strict=True))
    assert [scores[row] for row in left.rows.tolist()] == left.score.tolist()
    forgotten = merged({0: parts[0]}, plan, 1.0).candidates
    assert left.score.tolist() != forgotten.score.tolist()
