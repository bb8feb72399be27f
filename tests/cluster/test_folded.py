"""Of texts that are nearly the same one is found over shards, and it is the one that one bundle finds."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Condition
from lurcher.cluster.coordinator import Coordinator
from lurcher.cluster.messages import Request
from lurcher.cluster.sharding import shard_of
from lurcher.cluster.split import split
from lurcher.errors import LurcherError
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.edit.requests import Delete, Upsert
from lurcher.index_builder.edit.writer import Writer
from lurcher.index_builder.progress import Silent
from lurcher.retrieval.query import Query
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from tests.cluster.conftest import ENGINE, NearShards, kind_of
from tests.cluster.test_writing import written
from tests.tiny import TinyOptions, build

WORDS = [
    "cat", "window", "bread", "oven", "glacier", "valley", "oboe", "sleeps", "rises", "melts", "plays",
    "warm", "cold", "old", "new", "morning", "evening", "river", "stone",
]  # fmt: skip
TEXTS = ["cat on the windowsill", "bread in the oven", "glacier valley", "an old oboe plays"]

Both = tuple[Coordinator, NearShards, Snapshot]


def records(choose: Random) -> list[dict[str, Any]]:
    """A hundred texts, most of them several times, each time with one word more changed, in any order.

    Before these, texts of which copies with a zebra follow; then longer texts with one, without a copy.
    """
    found: list[list[str]] = []
    for _ in range(100):
        words = choose.choices(WORDS, k=60)
        for _ in range(choose.choice([1, 2, 5, 8])):
            found.append([*words])
            words[choose.randrange(60)] = choose.choice(WORDS)
    choose.shuffle(found)
    firsts = [choose.choices(WORDS, k=90) for _ in range(120)]
    zebras = [[*words[:-1], "zebra"] for words in firsts]
    alone = [[*choose.choices(WORDS, k=110), "zebra"] for _ in range(9)]
    return [
        {"id": f"d{n}", "text": " ".join(words), "metadata": {"n": n % 7, "place": n}}
        for n, words in enumerate([*firsts, *found, *zebras, *alone])
    ]


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, write_jsonl: Callable[[Path, Any], Path]
) -> Path:
    """A corpus with many near copies, in shards and in one bundle; only to be read."""
    root = tmp_path_factory.mktemp("folded")
    corpus = write_jsonl(root / "corpus.jsonl", records(Random(1)))
    build(corpus, root / "one.lurcher", TinyOptions(seed=1))
    with closing(Bundle.open(root / "one.lurcher")) as one:
        split(one, root / "cluster", 3, Silent())
    return root


@pytest.fixture(scope="module")
def both(
    folder: Path, open_cluster: Callable[[Path], tuple[Coordinator, NearShards]]
) -> Iterator[Both]:
    """Those of ``folder``, opened."""
    with closing(Snapshot(Bundle.open(folder / "one.lurcher"), 1, ENGINE)) as one:
        yield *open_cluster(folder / "cluster"), one


def hits(result: object) -> list[Any]:
    assert isinstance(result, SearchResult), result
    return [(one.id, one.score, one.scores, one.duplicates) for one in result.hits]


@pytest.mark.parametrize("rank", ["auto", "off"])
@pytest.mark.parametrize("retrieve", ["auto", "dense", "lexical"])
def test_same_as_one_bundle(both: Both, rank: Any, retrieve: Any) -> None:
    coordinator, _, one = both
    ways: list[dict[str, Any]] = [
        {"top_k": 3}, {"top_k": 100}, {"top_k": 5, "candidates": 5}, {"top_k": 4, "offset": 9},
        {"top_k": 20, "conditions": (Condition("n", "in", (3, 5)),)},
        {"top_k": 3, "conditions": (Condition("n", "range", (None, 3, None, None)),), "offset": 2},
        {"top_k": 9, "conditions": (Condition("n", "in", (6,)),), "group_by": "document"},
        {"top_k": 30, "candidates": 30, "group_by": "document"},
        {"top_k": 50, "query_syntax": "phrase", "text": '"cat" warm'},
    ]  # fmt: skip
    queries = [
        Query(**{"text": text, **way}, rank=rank, retrieve=retrieve, fold=True)
        for text in TEXTS
        for way in ways
    ]
    wanted = [hits(result) for result in one.run(queries)]
    for mine, other, query in zip(coordinator.run(queries), wanted, queries, strict=True):
        assert hits(mine) == other, query
    assert any(duplicates for result in wanted for *_, duplicates in result)


def rounds(near: NearShards, coordinator: Coordinator, query: Query) -> list[str]:
    asked: list[str] = []
    with near.telling(lambda requests: asked.append(kind_of(requests))):
        hits(coordinator.run([query])[0])
    return asked


def test_shards_are_asked_about_copies_only_where_some_are_found(both: Both) -> None:
    coordinator, near, one = both
    copies = one.bundle.copies
    assert copies is not None
    alone = np.flatnonzero(np.bincount(copies)[copies] == 1)[0]
    assert "Fold" in rounds(near, coordinator, Query(TEXTS[0], 3, fold=True))
    assert "Fold" not in rounds(near, coordinator, Query(TEXTS[0], 3))
    there = Condition("place", "in", (int(alone),))
    assert rounds(near, coordinator, Query(TEXTS[0], conditions=(there,), fold=True)) == [
        "Retrieve", "Compare", "Fetch",
    ]  # fmt: skip


def test_more_is_looked_for_where_copies_leave_too_few(both: Both) -> None:
    coordinator, near, one = both
    query = Query("zebra", 5, rank="off", retrieve="lexical", fold=True)
    (found,), (wanted,) = coordinator.run([query]), one.run([query])
    assert hits(found) == hits(wanted)
    assert rounds(near, coordinator, query) == ["Retrieve", "Fold", "Retrieve", "Fold", "Fetch"]


@pytest.mark.parametrize("goes", ["Fold", "Fetch"])
def test_a_shard_that_goes_takes_its_hits_with_it(both: Both, goes: str) -> None:
    coordinator, near, one = both
    query = Query(TEXTS[0], 200, rank="off", fold=True)

    def going(requests: Mapping[int, Request]) -> None:
        if kind_of(requests) == goes:
            near.gone = {1}

    with near.telling(going):
        (part,) = coordinator.run([query])
    assert isinstance(part, SearchResult)
    assert part.degraded == ["shard:1"]
    copies = one.bundle.copies
    assert copies is not None
    groups = copies[list(one.bundle.passages.rows_of([hit.id for hit in part.hits]).values())]
    assert len(set(groups.tolist())) == len(groups) > 0
    (whole,) = one.run([query])
    assert isinstance(whole, SearchResult)
    if goes == "Fetch":
        assert all(hit in whole.hits for hit in part.hits)


def test_copies_that_are_deleted_and_written(
    folder: Path, open_cluster: Callable[[Path], tuple[Coordinator, NearShards]], tmp_path: Path
) -> None:
    one = Path(shutil.copytree(folder / "one.lurcher", tmp_path / "one.lurcher"))
    cluster = Path(shutil.copytree(folder / "cluster", tmp_path / "cluster"))
    with closing(Bundle.open(one)) as bundle:
        assert bundle.copies is not None
        first = int(np.argmax(np.bincount(bundle.copies)))
        had = bundle.passages.get(np.flatnonzero(bundle.copies == first).tolist())
    # A new one lies in the shard of the last, whose words it has; elsewhere it would be found alone.
    id_ = next(f"new-{i}" for i in range(99) if shard_of(f"new-{i}", 3) == shard_of(had[-1].id, 3))
    new = Document(id_, had[-1].text.upper(), metadata={"n": 1, "place": 999})
    requests = [Delete((had[0].id,)), Upsert((new,), check_kinds=True)]
    outcomes, _ = written(cluster, requests)
    assert not any(isinstance(outcome, LurcherError) for outcome in outcomes)
    with closing(Writer.open(one)) as writer:
        writer.commit(requests)
        writer.flush()
    queries = [Query(TEXTS[0], 500, fold=True), Query(TEXTS[1], 5, fold=True)]
    queries += [
        replace(query, conditions=(Condition("place", "range", (None, 300, None, None)),))
        for query in queries
    ]
    with closing(Snapshot(Bundle.open(one), 1, ENGINE)) as snapshot:
        wanted = [hits(result) for result in snapshot.run(queries)]
    assert [hits(result) for result in open_cluster(cluster)[0].run(queries)] == wanted
    counts = {id_: duplicates for id_, *_, duplicates in wanted[0]}
    assert counts[had[1].id] == len(had) - 1  # with the new one, without the first and itself


def test_what_is_deleted_stands_for_no_copy_in_another_shard(
    open_cluster: Callable[[Path], tuple[Coordinator, NearShards]], tmp_path: Path,
    write_jsonl: Callable[[Path, Any], Path],
) -> None:  # fmt: skip
    # Of its copies each shard has one, so that no shard has any to fold by itself.
    ids = [next(f"d{i}" for i in range(99) if shard_of(f"d{i}", 3) == shard) for shard in range(3)]
    choose = Random(2)
    texts = {id_: " ".join(WORDS) for id_ in ids}
    texts |= {f"other-{i}": " ".join(choose.choices(WORDS, k=30)) for i in range(30)}
    corpus = write_jsonl(
        tmp_path / "corpus.jsonl", [{"id": id_, "text": text} for id_, text in texts.items()]
    )
    build(corpus, tmp_path / "one.lurcher", TinyOptions(seed=1))
    with closing(Bundle.open(tmp_path / "one.lurcher")) as one:
        split(one, tmp_path / "cluster", 3, Silent())
    delete = Delete((ids[0],))
    written(tmp_path / "cluster", [delete])
    with closing(Writer.open(tmp_path / "one.lurcher")) as writer:
        writer.commit([delete])
    query = Query(texts[ids[0]], 50, fold=True)
    with closing(Snapshot(Bundle.open(tmp_path / "one.lurcher"), 1, ENGINE)) as snapshot:
        wanted = hits(snapshot.run([query])[0])
    assert {id_: duplicates for id_, *_, duplicates in wanted}[ids[1]] == 1
    assert hits(open_cluster(tmp_path / "cluster")[0].run([query])[0]) == wanted
