"""Hits by document over shards are those of one bundle, however few documents the first candidates are of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Condition
from lurcher.cluster.coordinator import Coordinator
from lurcher.cluster.messages import Request
from lurcher.cluster.split import split
from lurcher.index_builder.progress import Silent
from lurcher.retrieval.query import Query
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from tests.cluster.conftest import ENGINE, NearShards, kind_of
from tests.tiny import TinyOptions, build

TEXTS = ["cat on the windowsill", "bread in the oven", "glacier"]
NEAR = "The cat sleeps on the windowsill. "
FAR = "Bread rises in the oven and the glacier melts. "


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory, write_jsonl: Callable[[Path, Any], Path],
    open_cluster: Callable[[Path], tuple[Coordinator, NearShards]],
) -> Iterator[tuple[Coordinator, NearShards, Snapshot]]:  # fmt: skip
    """A corpus of long documents and of short ones, in shards and in one bundle."""
    root = tmp_path_factory.mktemp("grouped")
    records = [
        {"id": f"d{i:02}", "text": (NEAR if i % 4 == 0 else FAR) * (40 if i % 4 == 0 else 1) + f"It is {i}.",
         "metadata": {"n": i}}
        for i in range(24)
    ]  # fmt: skip
    corpus = write_jsonl(root / "corpus.jsonl", records)
    build(corpus, root / "one.lurcher", TinyOptions(seed=1, window=24, overlap=0))
    with closing(Snapshot(Bundle.open(root / "one.lurcher"), 1, ENGINE)) as one:
        split(one.bundle, root / "cluster", 3, Silent())
        yield *open_cluster(root / "cluster"), one


@pytest.mark.parametrize("rank", ["auto", "off", "decoder"])
@pytest.mark.parametrize("retrieve", ["auto", "dense", "lexical"])
def test_same_as_one_bundle(
    both: tuple[Coordinator, NearShards, Snapshot], rank: Any, retrieve: Any
) -> None:
    coordinator, _, one = both
    ways: list[dict[str, Any]] = [
        {"top_k": 3}, {"top_k": 20}, {"top_k": 20, "candidates": 20},
        {"top_k": 4, "offset": 3, "candidates": 100},
        {"top_k": 8, "conditions": (Condition("n", "range", (None, 3, None, 20)),)},
    ]  # fmt: skip
    queries = [
        Query(text, rank=rank, retrieve=retrieve, group_by="document", **way)
        for text in TEXTS
        for way in ways
    ]
    for mine, other, query in zip(coordinator.run(queries), one.run(queries), queries, strict=True):
        assert isinstance(mine, SearchResult), mine
        assert isinstance(other, SearchResult)
        assert [hit.passage for hit in mine.hits] == [hit.passage for hit in other.hits], query
        tolerance = 2e-6 if rank == "decoder" else 0
        assert [hit.score for hit in mine.hits] == pytest.approx(
            [hit.score for hit in other.hits], rel=0, abs=tolerance
        )


def test_a_shard_that_goes_while_more_is_looked_for(
    both: tuple[Coordinator, NearShards, Snapshot],
) -> None:
    coordinator, near, _ = both
    rounds: list[str] = []

    def going(requests: Mapping[int, Request]) -> None:
        rounds.append(kind_of(requests))
        near.gone = {0} if len(rounds) > 1 else set()

    with near.telling(going):
        (part,) = coordinator.run(
            [Query(TEXTS[0], 20, rank="off", candidates=20, group_by="document")]
        )
    assert rounds[:2] == ["Retrieve", "Retrieve"]
    assert isinstance(part, SearchResult)
    assert part.degraded == ["shard:0"]
    documents = [hit.passage.document for hit in part.hits]
    assert len(set(documents)) == len(documents) > 0
