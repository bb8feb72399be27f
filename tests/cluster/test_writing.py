"""Writes to a served cluster: it finds what one bundle finds to which the same was written."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Condition
from lurcher.cluster.asking import Asking
from lurcher.cluster.cluster_file import ClusterFile, check_bundles, read_cluster
from lurcher.cluster.contents import ShardContents
from lurcher.cluster.coordinator import Coordinator
from lurcher.cluster.messages import ListPassages, Request, ToWrite, Wrote
from lurcher.cluster.shard import Shard
from lurcher.cluster.shard_writer import ShardWriter
from lurcher.cluster.sharding import shard_of
from lurcher.cluster.sync import sync_cluster
from lurcher.cluster.writing import ClusterWrites
from lurcher.errors import (
    BundleError,
    FieldError,
    LurcherError,
    PartlyWritten,
    ShardsMissing,
    VersionConflict,
    WriteNotKept,
)
from lurcher.index_builder.corpus import read_corpus
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.edit.requests import Delete, Patch, Receipt, Sender, Upsert
from lurcher.index_builder.edit.requests import Request as Write
from lurcher.index_builder.edit.writer import Writer
from lurcher.retrieval.query import Query
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from lurcher.server.settings import Settings
from tests.cluster.conftest import ENGINE, NearShards, kind_of
from tests.cluster.test_same_hits import TEXTS

OpenCluster = Callable[[Path], tuple[Coordinator, NearShards]]
LONG = " ".join(f"Sentence {i} tells of an oboe in a valley." for i in range(40))
LIST = ListPassages("", 100, ())
QUERIES = [Query(text, 200) for text in TEXTS]
QUERIES += [Query(text, 200, retrieve="lexical", rank="off") for text in TEXTS]


class NearWriters:
    """Writers in this process; those in ``failing`` do not write."""

    def __init__(self, folder: Path) -> None:
        self.cluster = read_cluster(folder)
        self.failing: dict[int, LurcherError] = {}
        self.asked: list[tuple[int, ToWrite]] = []
        self.writers = [
            ShardWriter(folder, self.cluster, number, Settings.model_validate({}))
            for number in range(len(self.cluster.shards))
        ]

    async def ask(self, requests: Mapping[int, ToWrite]) -> Mapping[int, Wrote]:
        outcomes: dict[int, Wrote] = {}
        for number, request in requests.items():
            self.asked.append((number, request))
            if number in self.failing and request.until != "check":
                outcomes[number] = Wrote(self.failing[number], 0)
            else:
                outcomes[number] = await self.writers[number].answer(request)
        return outcomes

    async def stop(self) -> None:
        for writer in self.writers:
            await writer.stop()


@pytest.fixture
def folder(small_cluster: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_cluster, tmp_path / "small.cluster"))


def written(
    folder: Path, requests: Iterable[Write], before: Callable[[NearWriters], object] = str
) -> tuple[list[Receipt | LurcherError], NearWriters]:
    """The outcome of each of ``requests`` to the cluster in ``folder``; ``before`` may make writers fail."""

    async def write() -> tuple[list[Receipt | LurcherError], NearWriters]:
        writers = NearWriters(folder)
        before(writers)
        cluster_writes = ClusterWrites(writers.cluster, writers)
        outcomes: list[Receipt | LurcherError] = []
        for request in requests:
            try:
                outcomes.append(await cluster_writes.submit(request, visible=True))
            except LurcherError as error:
                outcomes.append(error)
        await writers.stop()
        return outcomes, writers

    return asyncio.run(write())


def document(id_: str, text: str, **metadata: Any) -> Document:
    return Document(id_, text, metadata=metadata)


def written_at_random(choose: Random, ids: list[str], version: int) -> Write:
    """A write of several documents, some of them new, in all shards."""
    some = choose.sample(ids, 5)
    match choose.randrange(6):
        case 0 | 1:
            new = [f"new-{version}-{i}" for i in range(3)]
            ids += new
            texts = ["A cat on the windowsill.", "A glacier valley.", LONG]
            return Upsert(
                tuple(
                    document(id_, f"{choose.choice(texts)} {id_}.", lang="en", size=version)
                    for id_ in [*some, *new]
                ),
                check_kinds=True,
            )
        case 2:
            return Delete(tuple(some[:3]))
        case 3:
            return Delete(
                conditions=(Condition("year", "range", (2000 + version, None, None, None)),)
            )
        case 4:
            return Patch({id_: {"lang": "fr", "read": True} for id_ in some[:2]})
        case _:
            return Delete((*some[:2], "nothing"), dry_run=True)


def found(result: SearchResult | LurcherError) -> tuple[list[float], dict[str, Any]]:
    """The scores in order, and all hits by id: hits of one score may stand in another order."""
    assert isinstance(result, SearchResult), result
    assert not result.degraded
    by_id = {one.id: (one.score, one.scores, one.passage) for one in result.hits}
    return [one.score for one in result.hits], by_id


def check_same(this: SearchResult | LurcherError, other: SearchResult | LurcherError) -> None:
    """Scores are equal to a rounding: which engine encodes what is written, each writer measures."""
    scores, mine = found(this)
    wanted, its = found(other)
    assert scores == pytest.approx(wanted, abs=1e-4)
    assert mine.keys() == its.keys()
    for id_, (_, columns, passage) in mine.items():
        assert columns == pytest.approx(its[id_][1], abs=1e-4)
        assert passage == its[id_][2]


def outcome_of(writer: Writer, request: Write) -> Receipt | str:
    (one,) = writer.commit([request])
    return str(one) if isinstance(one, LurcherError) else replace(one, sequence=0)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(1, 60))]
)
def test_finds_what_one_bundle_finds(
    seed: int, folder: Path, small_bundle: Path, small_records: list[dict[str, Any]],
    open_cluster: OpenCluster, tmp_path: Path,
) -> None:  # fmt: skip
    choose = Random(seed)
    one = Path(shutil.copytree(small_bundle, tmp_path / "one.lurcher"))
    ids = [record["id"] for record in small_records]
    coordinator, near = open_cluster(folder)
    contents = ShardContents(Asking(read_cluster(folder), near, 1.0))

    async def write() -> None:
        writers = NearWriters(folder)
        writes = ClusterWrites(writers.cluster, writers)
        with closing(Writer.open(one)) as writer, closing(
            Snapshot(writer.reader(), 1, ENGINE)
        ) as snapshot:  # fmt: skip
            for version in range(10):
                request = written_at_random(choose, ids, version)
                mine: Receipt | str
                try:
                    mine = replace(await writes.submit(request, visible=True), sequence=0)
                except LurcherError as error:
                    mine = str(error)
                assert mine == outcome_of(writer, request), request
                now = snapshot.moved(writer.reader())
                wanted, got = now.run(QUERIES), coordinator.run(QUERIES)
                for this, other in zip(got, wanted, strict=True):
                    check_same(this, other)
                assert contents.listed("", 500) == now.contents.listed("", 500)
                assert contents.count() == now.contents.count()
                now.close()
        await writers.stop()

    asyncio.run(write())
    again, _ = open_cluster(folder)  # from the disk alone
    for this, other in zip(again.run(QUERIES), coordinator.run(QUERIES), strict=True):
        check_same(this, other)


def by_shard(folder: Path, count: int = 6) -> list[Document]:
    """New documents, of which every shard takes some."""
    made = [document(f"new-{i}", f"A narwhal {i}.") for i in range(count)]
    shards = {shard_of(one.id, len(read_cluster(folder).shards)) for one in made}
    assert len(shards) > 1
    return made


@pytest.mark.parametrize(
    ("write", "field"),
    [
        (Upsert((document("a", "x"), document("b", "y"), document("a", "z"))), "records.2.id"),
        (Patch({"en-animals-0": {}, "nobody": {}, "en-food-0": {}, "new": {}}), "records.1.id"),
        (
            Patch({"en-animals-0": {}, "en-music-0": {}, "de-animals-0": {"x": "\ud800"}}),
            "records.2",
        ),
        (Delete(conditions=(Condition("nothing", "in", ("x",)),)), "filter.nothing"),
        (Delete(conditions=(Condition("score", "range", (-1.0, None, None, None)),)), "confirm"),
    ],
)
def test_what_is_at_fault_is_refused_as_a_whole_and_named_as_in_one_bundle(
    folder: Path, small_bundle: Path, tmp_path: Path, write: Write, field: str
) -> None:
    one = Path(shutil.copytree(small_bundle, tmp_path / "one.lurcher"))
    with closing(Writer.open(one)) as writer:
        wanted = outcome_of(writer, write)
    ((outcome,), writers) = written(folder, [write])
    assert isinstance(outcome, FieldError)
    assert (outcome.field, str(outcome)) == (field, wanted)
    assert all(request.until == "check" for _, request in writers.asked)


def test_a_filter_deletes_in_those_shards_that_have_its_field(folder: Path) -> None:
    # All that is in its shard, and no confirmation is needed, as the others have more.
    cluster = read_cluster(folder)
    shard = shard_of("narwhal", len(cluster.shards))
    with closing(Bundle.open(folder / cluster.shards[shard].path)) as bundle:
        passages = bundle.passages.get(list(bundle.all_rows()))
    horned = document("narwhal", "A narwhal.", horns=1)
    delete = Delete(conditions=(Condition("horns", "in", (1,)),))
    rest = Delete(tuple(one.id for one in passages))
    (_, _, receipt, none), _ = written(folder, [Upsert((horned,)), rest, delete, delete])
    assert isinstance(receipt, Receipt)
    assert receipt.removed == 1
    assert isinstance(none, FieldError)  # no shard has the field any more


def test_all_is_deleted_only_if_that_is_confirmed(folder: Path, open_cluster: OpenCluster) -> None:
    every = (Condition("year", "range", (0, None, None, None)),)
    (refused, receipt), _ = written(
        folder, [Delete(conditions=every), Delete(conditions=every, confirm=True)]
    )
    assert isinstance(refused, FieldError)
    assert "all 60 passages" in str(refused)
    assert isinstance(receipt, Receipt)
    assert receipt.removed == 60
    coordinator, near = open_cluster(folder)
    (result,) = coordinator.run([Query("cat")])
    assert isinstance(result, SearchResult)
    assert result.hits == []
    assert ShardContents(Asking(read_cluster(folder), near, 1.0)).count() == 0


def test_half_is_deleted_once_however_often_that_is_asked_for(folder: Path) -> None:
    half = Delete(
        conditions=(Condition("flag", "in", (True,)),), sender=Sender("me", "key", "digest")
    )
    (receipt, again), _ = written(folder, [half, half])
    assert isinstance(receipt, Receipt)
    assert receipt.removed == 30
    assert again == receipt


def test_a_version_that_one_record_does_not_have_leaves_all_as_they_are(folder: Path) -> None:
    new = by_shard(folder)
    versions = {new[3].id: "0123456789abcdef"}
    (outcome,), writers = written(folder, [Upsert(tuple(new), versions)])
    assert isinstance(outcome, VersionConflict)
    assert {request.until for _, request in writers.asked} == {"check"}


def test_what_is_written_in_part_is_told_and_done_once_when_it_is_sent_again(folder: Path) -> None:
    new = tuple(by_shard(folder))
    write = Upsert(new, sender=Sender("me", "key", "digest"))

    def full(writers: NearWriters) -> None:
        writers.failing[1] = WriteNotKept("no room on the disk")

    (outcome,), _ = written(folder, [write], full)
    assert isinstance(outcome, PartlyWritten)
    assert list(outcome.errors) == [1]
    assert "no room on the disk" in str(outcome)
    (receipt, again), _ = written(folder, [write, write])
    assert isinstance(receipt, Receipt)
    assert (receipt.upserted, receipt.added, receipt.unchanged) == (len(new), len(new), 0)
    assert again == receipt
    (other,), _ = written(folder, [replace(write, sender=Sender("me", "key", "another"))])
    assert isinstance(other, FieldError)
    assert other.field == "Idempotency-Key"


def test_a_write_of_one_shard_is_asked_once_and_another_version_is_not_written(
    folder: Path,
) -> None:
    one = Upsert((document("narwhal", "A narwhal."),))
    _, writers = written(folder, [one])
    assert [request.until for _, request in writers.asked] == ["visible"]

    def of_another(writers: NearWriters) -> None:
        found = {**writers.cluster.model_dump(), "name": "another"}
        writers.cluster = ClusterFile.model_validate(found)

    (outcome,), _ = written(folder, [one], of_another)
    assert "another version" in str(outcome)


def test_a_search_goes_on_in_the_state_it_began_in(folder: Path, open_cluster: OpenCluster) -> None:
    coordinator, near = open_cluster(folder)
    (before,) = coordinator.run([QUERIES[0]])
    rounds: list[str] = []

    def write(requests: Mapping[int, Request]) -> None:
        rounds.append(kind_of(requests))
        if len(rounds) == 2:
            written(folder, [Delete(ids=tuple(found(before)[1])[:9])])
            for shard in near.shards:
                shard.follow()

    with near.telling(write):
        (during,) = coordinator.run([QUERIES[0]])
    assert rounds == ["Retrieve", "Compare", "Fetch"]
    assert found(during) == found(before)
    (after,) = coordinator.run([QUERIES[0]])
    assert len(found(after)[0]) == len(found(before)[0]) - 9


def test_a_search_begins_again_where_its_state_is_gone(
    folder: Path, open_cluster: OpenCluster
) -> None:
    coordinator, near = open_cluster(folder)
    other = open_cluster(folder)[1]  # other replicas, which have other states in memory
    (before,) = coordinator.run([QUERIES[0]])
    rounds: list[str] = []

    async def fail_over() -> None:
        writers = NearWriters(folder)
        writes = ClusterWrites(writers.cluster, writers)
        await writes.submit(Upsert(tuple(by_shard(folder))), visible=True)

        def dies(requests: Mapping[int, Request]) -> None:
            rounds.append(kind_of(requests))
            if len(rounds) == 2:
                near.shards, other.shards = other.shards, near.shards

        with near.telling(dies):
            (found_again,) = coordinator.run([QUERIES[0]])
        assert found(found_again)[1].keys() > found(before)[1].keys()
        await writers.stop()

    asyncio.run(fail_over())
    assert rounds == ["Retrieve", "Compare", "Retrieve", "Compare", "Fetch"]


@pytest.mark.parametrize("goes", ["Retrieve", "Fold"])
def test_a_shard_that_alone_has_what_a_filter_compares_is_missed(
    folder: Path, open_cluster: OpenCluster, goes: str
) -> None:
    new = [
        document("narwhal#1", "A narwhal.", horns=1),
        document("narwhal#2", "A narwhal.", horns=1),
    ]
    written(folder, [Upsert(tuple(new))])
    coordinator, near = open_cluster(folder)
    query = Query("narwhal", conditions=(Condition("horns", "in", (1,)),), fold=True)
    (whole,) = coordinator.run([query])
    assert list(found(whole)[1]) == ["narwhal#1"]
    owner = shard_of("narwhal", len(near.shards))

    def dies(requests: Mapping[int, Request]) -> None:
        near.gone = {owner} if kind_of(requests) == goes else set()

    with near.telling(dies):
        (outcome,) = coordinator.run([query])
    assert isinstance(outcome, ShardsMissing)
    assert outcome.shards == [owner]


def test_a_replica_goes_on_in_a_state_on_the_disk_that_another_saw_first(folder: Path) -> None:
    cluster = read_cluster(folder)
    number = shard_of("narwhal", len(cluster.shards))
    request = Request(cluster.fingerprint, (LIST,))
    with (
        closing(Shard(folder, cluster, number)) as first,
        closing(Shard(folder, cluster, number)) as other,
    ):
        written(folder, [Upsert((document("narwhal", "A narwhal."),))])
        reply = first.answer(request)
        assert other.answer(replace(request, state=reply.state)) == reply


def test_states_are_kept_for_some_time_and_then_closed(folder: Path) -> None:
    now = [0.0]
    cluster = read_cluster(folder)
    number = shard_of("narwhal", len(cluster.shards))
    with closing(Shard(folder, cluster, number, clock=lambda: now[0])) as shard:
        request = Request(cluster.fingerprint, (LIST,))
        first = shard.answer(request)
        written(folder, [Upsert((document("narwhal", "A narwhal."),))])
        second = shard.answer(request)
        assert second.state != first.state
        assert shard.answer(replace(request, state=first.state)) == first
        now[0] = 31.0
        shard.follow()
        gone = shard.answer(replace(request, state=first.state))
        assert (gone.done, gone.state) == ((), second.state)


def test_a_written_shard_is_a_part_of_its_own_cluster_alone(folder: Path, tmp_path: Path) -> None:
    cluster = read_cluster(folder)
    written(folder, [Upsert(tuple(by_shard(folder)))])
    check_bundles(folder, cluster)
    later = cluster.model_copy(update={"created": "2001-01-01T00:00:00+00:00"})
    with pytest.raises(BundleError, match="another hash"):
        check_bundles(folder, later)


def test_a_collection_that_was_written_to_is_made_equal_to_a_corpus(
    folder: Path, small_corpus: Path, small_cluster: Path, open_cluster: OpenCluster, tmp_path: Path
) -> None:
    new = by_shard(folder)
    written(folder, [Upsert(tuple(new)), Delete(("en-animals-0", "de-food-1"))])
    out = tmp_path / "synced.cluster"
    cluster, done = sync_cluster(folder, out, lambda: read_corpus(small_corpus))
    assert (done.written, done.deleted) == (2, len(new))
    assert cluster.passages == 60
    wanted = open_cluster(small_cluster)[0].run(QUERIES)
    for this, other in zip(open_cluster(out)[0].run(QUERIES), wanted, strict=True):
        check_same(this, other)
