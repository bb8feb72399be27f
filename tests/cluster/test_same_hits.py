"""A cluster finds what one bundle of the same corpus finds: the same ids and scores, to the last bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lurcher.bundle.passages import Condition
from lurcher.cluster.coordinator import Coordinator
from lurcher.errors import FieldError
from lurcher.retrieval.query import Query, ReadOptions
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from tests.cluster.conftest import NearShards

TEXTS = [
    "cat on the windowsill", "Züge zwischen Städten", "why does bread rise", "glacier valley 3",
    "oboe", "chat fenêtre", "xyzzy unknown", "note 2 of four music", "Note",
]  # fmt: skip
YEARS = Condition("year", "range", (None, 2005, None, 2012))
LANGUAGE = Condition("lang", "in", ("en", "fr"))


def hits(result: object) -> list[Any]:
    assert isinstance(result, SearchResult), result
    return [
        (one.id, one.score, one.scores, one.explanation, one.passage, one.duplicates)
        for one in result.hits
    ]


@pytest.mark.parametrize("rank", ["auto", "off"])
@pytest.mark.parametrize("retrieve", ["auto", "dense", "lexical"])
def test_same_as_one_bundle(
    cluster: tuple[Coordinator, NearShards], one_bundle: Snapshot, rank: Any, retrieve: Any
) -> None:
    queries = [Query(text, 7, rank=rank, retrieve=retrieve) for text in TEXTS]
    queries += [replace(one, conditions=(YEARS,), candidates=9) for one in queries[:3]]
    queries += [replace(one, conditions=(LANGUAGE, YEARS), top_k=100) for one in queries[:3]]
    found, wanted = cluster[0].run(queries), one_bundle.run(queries)
    for mine, other, query in zip(found, wanted, queries, strict=True):
        assert hits(mine) == hits(other), query


def test_explanations_are_those_of_one_bundle(
    cluster: tuple[Coordinator, NearShards], one_bundle: Snapshot
) -> None:
    extras = frozenset({"highlights", "token_alignment", "contributing_neighbours"})
    queries = [Query(text, 5, extras=extras) for text in TEXTS[:3]]  # type: ignore[arg-type]  # a set of literals
    assert [hits(one) for one in cluster[0].run(queries)] == [
        hits(one) for one in one_bundle.run(queries)
    ]


def test_phrases_are_found_in_every_shard(
    cluster: tuple[Coordinator, NearShards], one_bundle: Snapshot
) -> None:
    query = Query('"of four" cat', 50, query_syntax="phrase")
    (found,), (wanted,) = cluster[0].run([query]), one_bundle.run([query])
    assert hits(found) == hits(wanted)
    assert len(hits(found)) == 50


def test_a_filter_is_refused_as_one_bundle_refuses_it(
    cluster: tuple[Coordinator, NearShards], one_bundle: Snapshot
) -> None:
    for bad in (Condition("nothing", "in", ("x",)), Condition("year", "in", ("x",))):
        query = Query("cat", conditions=(bad,))
        (found,), (wanted,) = cluster[0].run([query]), one_bundle.run([query])
        assert isinstance(found, FieldError)
        assert str(found) == str(wanted)


def test_refuses_what_it_cannot_do_over_shards(cluster: tuple[Coordinator, NearShards]) -> None:
    (found,) = cluster[0].run([Query("cat", read=ReadOptions(write=True))])
    assert isinstance(found, FieldError)
    assert found.field == "write"
