"""A decoder and a reader over shards order hits and find answers as in one bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from lurcher.cluster.coordinator import Coordinator
from lurcher.cluster.messages import Request
from lurcher.retrieval.query import Query, ReadOptions
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from tests.cluster.conftest import NearShards, kind_of

TEXTS = [
    "cat on the windowsill", "who wrote note 2 of four", "why does bread rise", "glacier valley 3",
    "oboe", "chat fenêtre", "xyzzy unknown",
]  # fmt: skip


def found(result: object) -> dict[str, Any]:
    """Hits, answers with their evidence, and all else that is said of them."""
    assert isinstance(result, SearchResult), result
    evidence = [(one.evidence, one.score) for one in result.answers]
    return {**vars_of(result), "evidence": evidence}


def vars_of(result: SearchResult) -> dict[str, Any]:
    return {name: getattr(result, name) for name in ("hits", "answers", "degraded", "question")}


@pytest.fixture(autouse=True)
def all_back(answering_cluster: tuple[Coordinator, NearShards]) -> None:
    answering_cluster[1].gone.clear()


@pytest.mark.parametrize("rank", ["decoder", "reader"])
@pytest.mark.parametrize("retrieve", ["auto", "dense", "lexical"])
def test_ranked_as_in_one_bundle(
    answering_cluster: tuple[Coordinator, NearShards], answering_one: Snapshot, rank: Any,
    retrieve: Any,
) -> None:  # fmt: skip
    queries = [Query(text, 8, rank=rank, retrieve=retrieve) for text in TEXTS]
    queries += [replace(one, candidates=60, top_k=50, offset=3) for one in queries[:3]]
    coordinator, _ = answering_cluster
    for mine, other in zip(coordinator.run(queries), answering_one.run(queries), strict=True):
        if rank == "reader":
            assert found(mine) == found(other)
            continue
        # The last bit of what a decoder makes of a passage depends on what it reads beside it.
        assert isinstance(mine, SearchResult)
        assert isinstance(other, SearchResult)
        assert [hit.passage for hit in mine.hits] == [hit.passage for hit in other.hits]
        assert [hit.score for hit in mine.hits] == pytest.approx(
            [hit.score for hit in other.hits], abs=2e-6
        )


@pytest.mark.parametrize("rank", ["off", "auto", "reader"])
@pytest.mark.parametrize("options", [ReadOptions(5, 0.0), ReadOptions(), ReadOptions(1, 1.0)])
def test_answers_of_one_bundle(
    answering_cluster: tuple[Coordinator, NearShards], answering_one: Snapshot, rank: Any,
    options: ReadOptions,
) -> None:  # fmt: skip
    queries = [Query(text, 9, rank=rank, read=options) for text in TEXTS]
    coordinator, _ = answering_cluster
    wanted = answering_one.run(queries)
    for mine, other in zip(coordinator.run(queries), wanted, strict=True):
        assert found(mine) == found(other)
    answers = [one.answers for one in wanted if isinstance(one, SearchResult)]
    assert any(answers) or options.min_score != 0.0


def test_what_a_ranker_has_read_is_not_read_again(
    answering_cluster: tuple[Coordinator, NearShards],
) -> None:
    coordinator, near = answering_cluster
    asked: list[str] = []
    with near.telling(lambda requests: asked.append(kind_of(requests))):
        coordinator.run([Query(TEXTS[0], 9, rank="reader", read=ReadOptions())])
    assert asked == ["Retrieve", "Compare", "Read", "Fetch"]


@pytest.mark.parametrize("goes", ["Compare", "Read", "Fetch"])
def test_a_shard_that_goes_takes_its_hits_with_it_and_changes_no_score(
    answering_cluster: tuple[Coordinator, NearShards], goes: str
) -> None:
    coordinator, near = answering_cluster
    query = Query(TEXTS[0], 60, rank="reader", read=ReadOptions(20, 0.0))
    (whole,) = coordinator.run([query])

    def going(requests: Mapping[int, Request]) -> None:
        if kind_of(requests) == goes:
            near.gone = {1}

    with near.telling(going):
        (part,) = coordinator.run([query])
    assert isinstance(whole, SearchResult)
    assert isinstance(part, SearchResult)
    assert part.degraded == ["shard:1"]
    left = {hit.id for hit in part.hits}
    assert 0 < len(left) < len(whole.hits)
    if goes != "Compare":  # then others are among the best, which are read
        assert part.hits == [hit for hit in whole.hits if hit.id in left]
    assert {one.passage.id for one in part.answers} <= left


def test_where_time_is_up_only_the_first_hit_is_read(
    answering_cluster: tuple[Coordinator, NearShards],
) -> None:
    query = Query(TEXTS[0], 9, read=ReadOptions(20, 0.0), deadline=0.0)
    (result,) = answering_cluster[0].run([query])
    assert isinstance(result, SearchResult)
    assert result.degraded == ["rank", "read"]
    assert {one.passage.id for one in result.answers} <= {result.hits[0].id}
