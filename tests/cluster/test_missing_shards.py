"""Shards that do not answer: the hits of the others, which are told, or an error; never a mixture."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from lurcher.cluster.coordinator import Coordinator
from lurcher.cluster.messages import Request
from lurcher.errors import ShardsMissing
from lurcher.retrieval.query import Query
from lurcher.retrieval.results import SearchResult
from tests.cluster.conftest import NearShards, kind_of

QUERY = Query("the cat sleeps on the windowsill", 60)


@pytest.fixture(autouse=True)
def all_back(cluster: tuple[Coordinator, NearShards]) -> Iterator[None]:
    yield
    cluster[1].gone.clear()
    for shard in cluster[1].shards:
        shard.fingerprint = cluster[1].shards[0].fingerprint


@pytest.mark.parametrize("rank", ["auto", "off"])
def test_the_others_answer_and_say_who_is_missing(
    cluster: tuple[Coordinator, NearShards], rank: str
) -> None:
    coordinator, near = cluster
    query = replace(QUERY, rank=rank)  # type: ignore[arg-type]  # one of its values
    (whole,) = coordinator.run([query])
    near.gone = {1}
    (part,) = coordinator.run([query])
    assert isinstance(whole, SearchResult)
    assert isinstance(part, SearchResult)
    assert part.degraded == ["shard:1"]
    rest = {hit.id for hit in part.hits}
    assert 0 < len(rest) < len(whole.hits)
    # Nothing that is left has another score than it has with all.
    assert [(one.id, one.score) for one in part.hits] == [
        (one.id, one.score) for one in whole.hits if one.id in rest
    ]


def test_without_partial_it_is_an_error(cluster: tuple[Coordinator, NearShards]) -> None:
    coordinator, near = cluster
    near.gone = {0, 2}
    found, other = coordinator.run([replace(QUERY, partial=False), QUERY])
    assert isinstance(found, ShardsMissing)
    assert found.shards == [0, 2]
    assert "2 of 3 shards" in str(found)
    assert isinstance(other, SearchResult)


def test_without_any_shard_it_is_an_error(cluster: tuple[Coordinator, NearShards]) -> None:
    coordinator, near = cluster
    near.gone = {0, 1, 2}
    (found,) = coordinator.run([QUERY])
    assert isinstance(found, ShardsMissing)
    assert "none of 3 shards" in str(found)


def test_a_shard_of_another_version_is_not_merged(
    cluster: tuple[Coordinator, NearShards],
) -> None:
    coordinator, near = cluster
    near.shards[2].fingerprint = "another"
    (found,) = coordinator.run([QUERY])
    assert isinstance(found, SearchResult)
    assert found.degraded == ["shard:2"]


def test_a_shard_that_goes_between_two_questions_is_told(
    cluster: tuple[Coordinator, NearShards],
) -> None:
    coordinator, near = cluster
    asked: list[str] = []

    def goes(requests: Mapping[int, Request]) -> None:
        asked.append(kind_of(requests))
        near.gone = {1} if len(asked) > 1 else set()

    with near.telling(goes):
        (found,) = coordinator.run([QUERY])
    assert isinstance(found, SearchResult)
    assert found.degraded == ["shard:1"]
    assert found.hits


def test_ranking_is_left_out_when_the_time_has_passed(
    cluster: tuple[Coordinator, NearShards],
) -> None:
    (found,) = cluster[0].run([replace(QUERY, deadline=0.0)])
    assert isinstance(found, SearchResult)
    assert found.degraded == ["rank"]
    assert all("rank" not in hit.scores for hit in found.hits)


def test_messages_come_through_a_pickle_as_they_were(
    cluster: tuple[Coordinator, NearShards],
) -> None:
    coordinator, near = cluster
    ask = near.ask

    def pickled(requests: dict, seconds: float) -> dict:  # type: ignore[type-arg]  # passed on as it is
        return pickle.loads(pickle.dumps(ask(pickle.loads(pickle.dumps(requests)), seconds)))  # noqa: S301 (ours)

    (plain,) = coordinator.run([QUERY])
    near.ask = pickled  # type: ignore[method-assign]
    try:
        (found,) = coordinator.run([QUERY])
    finally:
        del near.ask  # type: ignore[method-assign]
    assert isinstance(found, SearchResult)
    assert isinstance(plain, SearchResult)
    assert found.hits == plain.hits
