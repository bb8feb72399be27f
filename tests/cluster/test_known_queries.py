"""Known queries over shards say of each passage what they say in one bundle, to the last bit."""

from __future__ import annotations

import json
import pickle
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
from lurcher.bundle.labels import Labels
from lurcher.bundle.neighbours import LABELS
from lurcher.bundle.passages import Condition
from lurcher.bundle.verifying import verify
from lurcher.cluster.build import build_cluster
from lurcher.cluster.cluster_file import check_bundles, read_cluster
from lurcher.cluster.coordinator import Coordinator
from lurcher.cluster.messages import Reply, Request
from lurcher.cluster.sharding import shard_of
from lurcher.cluster.split import split
from lurcher.index_builder.adapt import adapt
from lurcher.index_builder.corpus import read_corpus
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.edit.requests import Delete, Patch, Receipt, Upsert
from lurcher.index_builder.edit.sync import delete_documents, take_in
from lurcher.index_builder.edit.writer import Writer
from lurcher.index_builder.judged.known import Known
from lurcher.index_builder.neighbours import Judged, NeighbourOptions
from lurcher.index_builder.progress import Silent
from lurcher.retrieval.query import Query
from lurcher.retrieval.results import Hit, SearchResult
from lurcher.retrieval.snapshot import Snapshot
from tests.cluster.conftest import ENGINE, SHARDS, NearShards, kind_of, split_once
from tests.cluster.test_same_hits import LANGUAGE, TEXTS, YEARS, hits
from tests.cluster.test_sync import changed, sync, sync_one, write
from tests.cluster.test_writing import written
from tests.shared import Shared
from tests.tiny import TinyOptions

OpenCluster = Callable[[Path], tuple[Coordinator, NearShards]]
MODES = ["auto", "adapted", "voting", "off"]
ASKED = [*TEXTS, "the cat sleeps", "when do trains leave", "who tunes to the oboe", "ticket 7919"]

MODE: list[Any] = MODES
NAMED: Any = frozenset({"contributing_neighbours"})
EVERY_MODE = [
    Query(text, 70, neighbours=mode, rank=rank, extras=NAMED)  # type: ignore[arg-type]  # its values
    for text in ASKED
    for mode in MODE
    for rank in ("auto", "off")
]


@pytest.fixture(scope="session")
def judged(small_records: list[dict[str, Any]]) -> Judged:
    """Queries of words of the records, each answered by up to three of them; most answer several."""
    choose = Random(7)
    words = sorted({word for one in small_records for word in one["text"].split()})
    queries = []
    for i, record in enumerate(small_records[:40]):
        own = choose.sample(record["text"].split(), 4)
        text = " ".join(
            [*own, *choose.sample(words, 1), f"ticket {i * 7919}"][: choose.randint(3, 6)]
        )
        others = choose.sample([one["id"] for one in small_records], choose.randint(0, 2))
        labels = {id_: choose.choice([0.25, 1.0, 3.0]) for id_ in [record["id"], *others]}
        queries.append(Known(f"k{i}", text, labels, "known.tsv" if i % 2 else "clicks"))
    asked = [Known(f"a{q.id}", f"is {q.text}?", q.labels, "asked.tsv") for q in queries]
    return Judged(queries, asked)


@pytest.fixture(scope="session")
def known_bundle(small_bundle: Path, judged: Judged, shared: Shared) -> Path:
    """``small_bundle`` with known queries; only to be read."""
    name = "known.lurcher"
    options = NeighbourOptions(keep_unseen=0)
    return (
        shared.once("known-whole", lambda made: adapt(small_bundle, judged, options, made / name))
        / name
    )


@pytest.fixture(scope="module")
def one(known_bundle: Path) -> Iterator[Snapshot]:
    """The bundle with known queries."""
    with closing(Snapshot(Bundle.open(known_bundle), 1, ENGINE)) as snapshot:
        yield snapshot


@pytest.fixture(scope="session")
def known_folder(known_bundle: Path, shared: Shared) -> Path:
    """The folder of ``known_bundle`` in shards. Copy it to change it."""
    return split_once(known_bundle, "known", shared)


@pytest.fixture(scope="module")
def known_cluster(known_folder: Path, open_cluster: OpenCluster) -> tuple[Coordinator, NearShards]:
    return open_cluster(known_folder)


def check_same(coordinator: Coordinator, one: Snapshot, queries: list[Query]) -> list[SearchResult]:
    found, wanted = coordinator.run(queries), one.run(queries)
    results = []
    for mine, other, query in zip(found, wanted, queries, strict=True):
        assert hits(mine) == hits(other), query
        assert isinstance(mine, SearchResult)
        results.append(mine)
    return results


@pytest.mark.parametrize("rank", ["auto", "off"])
@pytest.mark.parametrize("retrieve", ["auto", "dense"])
@pytest.mark.parametrize("mode", MODES)
def test_same_as_one_bundle(
    known_cluster: tuple[Coordinator, NearShards],
    one: Snapshot,
    rank: Any,
    retrieve: Any,
    mode: Any,
) -> None:
    queries = [Query(text, 7, rank=rank, retrieve=retrieve, neighbours=mode) for text in ASKED]
    queries += [replace(one, dense_weight=weight) for weight in (0.0, 0.3) for one in queries[:3]]
    queries += [replace(one, conditions=(YEARS,), candidates=9) for one in queries[:6]]
    queries += [replace(one, conditions=(LANGUAGE, YEARS), top_k=100) for one in queries[:6]]
    queries += [replace(one, offset=5, candidates=60) for one in queries[:6]]
    found = check_same(known_cluster[0], one, queries)
    raised = [hit.scores.get("neighbours", 0) > 0 for result in found for hit in result.hits]
    assert any(raised) == (mode != "off")


@pytest.mark.parametrize("mode", MODES)
def test_explanations_are_those_of_one_bundle(
    known_cluster: tuple[Coordinator, NearShards], one: Snapshot, mode: Any
) -> None:
    every = frozenset({"highlights", "token_alignment", "contributing_neighbours"})
    alone = frozenset({"contributing_neighbours"})
    queries = [Query(text, 6, neighbours=mode, extras=every) for text in ASKED]  # type: ignore[arg-type]  # a set of literals
    queries += [replace(query, extras=alone) for query in queries]  # type: ignore[arg-type]  # as above
    found = check_same(known_cluster[0], one, queries)
    named = [hit.explanation.contributing_neighbours for result in found for hit in result.hits]
    assert any(named) == (mode != "off")


@pytest.mark.parametrize("mode", ["adapted", "voting"])
def test_grouped_by_document(
    known_cluster: tuple[Coordinator, NearShards], one: Snapshot, mode: Any
) -> None:
    ways: list[dict[str, Any]] = [{}, {"conditions": (YEARS,)}, {"candidates": 4, "top_k": 4}]
    queries = [
        Query(text, neighbours=mode, group_by="document", **way) for text in ASKED for way in ways
    ]
    check_same(known_cluster[0], one, queries)


@pytest.mark.parametrize("shards", [1, 2, 7])
def test_in_any_number_of_shards(
    known_bundle: Path, one: Snapshot, open_cluster: OpenCluster, tmp_path: Path, shards: int
) -> None:
    split(one.bundle, tmp_path / "cluster", shards, Silent())
    coordinator, _ = open_cluster(tmp_path / "cluster")
    modes: list[Any] = ["adapted", "voting"]
    check_same(coordinator, one, [Query(text, neighbours=mode) for text in ASKED for mode in modes])


def test_shards_without_labels(
    small_bundle: Path, open_cluster: OpenCluster, tmp_path: Path
) -> None:
    """One query is known, of one passage: most shards have none."""
    judged = Judged([Known("k", "a cat that sleeps", {"en-animals-1": 1.0}, "known.tsv")])
    path, _ = adapt(small_bundle, judged, NeighbourOptions(), tmp_path / "one.lurcher")
    with closing(Snapshot(Bundle.open(path), 1, ENGINE)) as one:
        split(one.bundle, tmp_path / "cluster", 4, Silent())
        coordinator, _ = open_cluster(tmp_path / "cluster")
        modes: list[Any] = ["auto", "adapted", "voting"]
        queries = [Query(text, 60, neighbours=mode) for text in ASKED for mode in modes]
        check_same(coordinator, one, queries)
    held = [read.labels for read in known_settings(tmp_path / "cluster")]
    assert sorted(held) == [0, 0, 0, 1]


def known_settings(folder: Path) -> list[Any]:
    """What the manifest of each shard in ``folder`` says of known queries."""
    found = []
    for entry in read_cluster(folder).shards:
        with closing(Bundle.open(folder / entry.path)) as bundle:
            found.append(bundle.manifest.neighbours)
    return found


def test_a_shard_has_the_known_queries_of_its_own_passages(
    known_folder: Path, judged: Judged
) -> None:
    cluster = read_cluster(known_folder)
    labels = {(query.id, id_) for query in judged.known for id_ in query.labels}
    found: set[tuple[str, str]] = set()
    for entry in cluster.shards:
        assert verify(known_folder / entry.path) == []
        with closing(Bundle.open(known_folder / entry.path)) as bundle:
            known = bundle.neighbours
            assert known is not None
            ids = [one.id for one in bundle.passages.get(range(bundle.rows.count))]
            queries = known.texts.get(range(known.texts.count))
            counts = np.diff(known.labels.indptr)
            assert counts.all()
            owners = np.repeat(np.arange(len(counts)), counts)
            own = {
                (queries[q].id, ids[row]) for q, row in zip(owners, known.labels.rows, strict=True)
            }
            assert not own & found
            found |= own
            assert sum(known.settings.sources.values()) == len(queries)
    assert found == labels
    head = known_folder / cluster.coordinator.path
    assert verify(head) == []
    assert len(Labels.load_by_id(head / LABELS)[0].rows) == len(labels)


@pytest.mark.parametrize("mode", ["adapted", "voting"])
def test_a_missing_shard_changes_no_other_score(
    known_cluster: tuple[Coordinator, NearShards], mode: Any
) -> None:
    coordinator, near = known_cluster
    extras = frozenset({"contributing_neighbours"})
    queries = [Query(text, 60, neighbours=mode, extras=extras) for text in ASKED]  # type: ignore[arg-type]  # a set of literals
    wanted = coordinator.run(queries)
    for gone in range(SHARDS):
        near.gone = {gone}
        found = coordinator.run(queries)
        near.gone = set()
        for mine, other in zip(found, wanted, strict=True):
            assert isinstance(mine, SearchResult)
            assert mine.degraded == [f"shard:{gone}"]
            there = {hit[0] for hit in hits(mine)}
            assert 0 < len(there) < 60
            assert hits(mine) == [hit for hit in hits(other) if hit[0] in there]


def test_a_shard_that_goes_after_it_was_voted_in(
    known_cluster: tuple[Coordinator, NearShards],
) -> None:
    coordinator, near = known_cluster

    def goes(requests: Mapping[int, Request]) -> None:
        near.gone = set() if kind_of(requests) == "Retrieve" else {1}

    extras = frozenset({"contributing_neighbours"})
    query = Query(ASKED[0], 60, neighbours="voting", extras=extras)  # type: ignore[arg-type]  # a set of literals
    with near.telling(goes):
        (found,) = coordinator.run([query])
    (whole,) = coordinator.run([query])
    assert isinstance(found, SearchResult)
    there = {hit.id for hit in found.hits}
    assert there
    assert hits(found) == [hit for hit in hits(whole) if hit[0] in there]


@pytest.mark.parametrize("mode", ["adapted", "voting"])
def test_messages_come_through_a_pickle_as_they_were(
    known_cluster: tuple[Coordinator, NearShards], one: Snapshot, mode: Any
) -> None:
    coordinator, near = known_cluster
    ask = near.ask

    def pickled(requests: Mapping[int, Request], seconds: float) -> Mapping[int, Reply]:
        sent = pickle.loads(pickle.dumps(requests))  # noqa: S301 (ours)
        replies: Mapping[int, Reply] = pickle.loads(pickle.dumps(ask(sent, seconds)))  # noqa: S301 (ours)
        return replies

    near.ask = pickled  # type: ignore[method-assign]
    try:
        check_same(coordinator, one, [Query(text, neighbours=mode) for text in ASKED])
    finally:
        del near.ask  # type: ignore[method-assign]


def test_the_build_learns_what_a_build_of_one_bundle_learns(
    small_corpus: Path, judged: Judged, one: Snapshot, open_cluster: OpenCluster, tmp_path: Path
) -> None:
    options = TinyOptions(seed=1, judged=judged, neighbours=NeighbourOptions(keep_unseen=0))
    build_cluster(small_corpus, tmp_path / "built", SHARDS, options)
    coordinator, _ = open_cluster(tmp_path / "built")
    modes: list[Any] = MODES
    check_same(coordinator, one, [Query(text, neighbours=mode) for text in ASKED for mode in modes])


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(1, 20))]
)
def test_the_next_version_knows_what_one_bundle_knows(
    seed: int, known_folder: Path, known_bundle: Path, small_records: list[dict[str, Any]],
    open_cluster: OpenCluster, tmp_path: Path,
) -> None:  # fmt: skip
    choose, bundle = Random(seed), Path(shutil.copytree(known_bundle, tmp_path / "one.lurcher"))
    before, records = known_folder, small_records
    for version in range(2):
        records = changed(records, version, choose)
        corpus = write(tmp_path, records)
        sync(before, tmp_path / f"{version}.cluster", corpus)
        sync_one(bundle, corpus)
        before = tmp_path / f"{version}.cluster"
        cluster = read_cluster(before)
        check_bundles(before, cluster)
        parts = [cluster.coordinator, *cluster.shards]
        assert all(verify(before / entry.path) == [] for entry in parts)
        with closing(Snapshot(Bundle.open(bundle), 1, ENGINE)) as one:
            check_same(open_cluster(before)[0], one, EVERY_MODE)


def test_a_version_in_which_nothing_changed(
    known_folder: Path, small_corpus: Path, one: Snapshot, open_cluster: OpenCluster, tmp_path: Path
) -> None:
    sync(known_folder, tmp_path / "next", small_corpus)
    check_same(open_cluster(tmp_path / "next")[0], one, EVERY_MODE)


def test_a_version_in_which_one_shard_changed(
    known_folder: Path, known_bundle: Path, small_records: list[dict[str, Any]],
    open_cluster: OpenCluster, tmp_path: Path,
) -> None:  # fmt: skip
    bundle = Path(shutil.copytree(known_bundle, tmp_path / "one.lurcher"))
    corpus = write(
        tmp_path, [{**small_records[0], "text": "A cat that purrs."}, *small_records[1:]]
    )
    sync(known_folder, tmp_path / "next", corpus)
    sync_one(bundle, corpus)
    with closing(Snapshot(Bundle.open(bundle), 1, ENGINE)) as one:
        check_same(open_cluster(tmp_path / "next")[0], one, EVERY_MODE)


def test_a_shard_whose_labels_are_all_gone(
    small_bundle: Path,
    small_records: list[dict[str, Any]],
    open_cluster: OpenCluster,
    tmp_path: Path,
) -> None:
    ids = [one["id"] for one in small_records]
    gone = {id_ for id_ in ids if shard_of(id_, SHARDS) == 0}
    kept = next(id_ for id_ in ids if id_ not in gone)
    labels = [*sorted(gone)[:2], kept]
    judged = Judged([Known(id_, f"a cat, {id_}", {id_: 1.0}, "known.tsv") for id_ in labels])
    path, _ = adapt(small_bundle, judged, NeighbourOptions(), tmp_path / "one.lurcher")
    with closing(Bundle.open(path)) as bundle:
        split(bundle, tmp_path / "before", SHARDS, Silent())
    corpus = write(tmp_path, [one for one in small_records if one["id"] not in labels[:2]])
    sync(tmp_path / "before", tmp_path / "next", corpus)
    sync_one(path, corpus)
    with closing(Snapshot(Bundle.open(path), 1, ENGINE)) as one:
        check_same(open_cluster(tmp_path / "next")[0], one, EVERY_MODE)


@pytest.fixture
def changed_bundle(known_bundle: Path, tmp_path: Path) -> Path:
    """A copy of ``known_bundle`` in which passages have gone, come and changed, in one segment."""
    path = tmp_path / "changed.lurcher"
    shutil.copytree(known_bundle, path)
    new = [
        {"id": "en-animals-1", "text": "A dog barks at the cat. Note 1 of four."},
        {"id": "new", "text": "The cat sleeps on the oboe. Note 5 of four."},
    ]
    records = [{**one, "lang": "en", "year": 2007} for one in new]
    corpus = tmp_path / "new.jsonl"
    corpus.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    with closing(Writer.open(path, check_hashes=False)) as writer:
        take_in(writer, read_corpus(corpus), Silent())
        delete_documents(writer, ["en-travel-0", "fr-music-2"])
        writer.flush()
    with closing(Writer.open(path, check_hashes=False)) as writer:
        writer.compact(everything=True)
    return path


def test_a_bundle_that_has_changed_since_it_was_adapted(
    changed_bundle: Path, open_cluster: OpenCluster, tmp_path: Path
) -> None:
    with closing(Snapshot(Bundle.open(changed_bundle), 1, ENGINE)) as one:
        split(one.bundle, tmp_path / "cluster", SHARDS, Silent())
        coordinator, _ = open_cluster(tmp_path / "cluster")
        modes: list[Any] = MODES
        queries = [
            Query(text, 60, neighbours=mode, retrieve="dense") for text in ASKED for mode in modes
        ]
        extras = frozenset({"contributing_neighbours"})
        queries += [replace(query, extras=extras) for query in queries]  # type: ignore[arg-type]  # a set of literals
        check_same(coordinator, one, queries)


def test_the_stage_is_told_where_known_queries_vote(
    known_cluster: tuple[Coordinator, NearShards],
) -> None:
    for mode, told in (("voting", True), ("adapted", False), ("off", False)):
        (found,) = known_cluster[0].run([Query("cat", neighbours=mode)])  # type: ignore[arg-type]  # its values
        assert isinstance(found, SearchResult)
        assert ("retrieve_neighbours" in found.seconds) == told


def _named(hit: Hit) -> list[str]:
    return [one.id for one in hit.explanation.contributing_neighbours or []]


def test_knows_what_one_bundle_knows_after_the_same_writes(
    known_bundle: Path, known_folder: Path, open_cluster: OpenCluster, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(known_folder, tmp_path / "cluster"))
    bundle = Path(shutil.copytree(known_bundle, tmp_path / "one.lurcher"))
    coordinator, _ = open_cluster(folder)
    writes = [
        Upsert((
            Document("en-animals-1", "A dog barks at the cat."),
            Document("new", "The cat sleeps on the oboe."),
        )),
        Delete(("en-travel-0", "fr-music-2")),
        Patch({"en-food-1": {"year": 2007}, "de-animals-0": {"lang": "en"}}),
    ]  # fmt: skip
    outcomes, _ = written(folder, writes)
    assert all(isinstance(one, Receipt) for one in outcomes)
    with closing(Writer.open(bundle)) as writer:
        writer.commit(writes)
        with closing(Snapshot(writer.reader(), 1, ENGINE)) as one:
            modes: list[Any] = MODES
            extras: Any = frozenset({"contributing_neighbours"})
            queries = [
                Query(text, 80, neighbours=mode, extras=extras) for text in ASKED for mode in modes
            ]
            for mine, other in zip(coordinator.run(queries), one.run(queries), strict=True):
                assert isinstance(mine, SearchResult)
                assert isinstance(other, SearchResult)
                wanted = {hit.id: hit for hit in other.hits}
                assert {hit.id for hit in mine.hits} == wanted.keys()
                for hit in mine.hits:
                    # Votes of labels are of the time when the cluster was built, to a rounding.
                    assert hit.scores == pytest.approx(wanted[hit.id].scores, abs=1e-4)
                    assert _named(hit) == _named(wanted[hit.id])


def test_votes_count_for_what_a_filter_lets_be_found_where_shards_have_not_its_field(
    known_bundle: Path, known_folder: Path, open_cluster: OpenCluster, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(known_folder, tmp_path / "cluster"))
    bundle = Path(shutil.copytree(known_bundle, tmp_path / "one.lurcher"))
    patch = Patch({"en-animals-0": {"horns": 1}})
    written(folder, [patch])
    coordinator, _ = open_cluster(folder)
    horned = (Condition("horns", "in", (1,)),)
    queries = [Query(text, conditions=horned, neighbours="voting") for text in ASKED]
    with closing(Writer.open(bundle)) as writer:
        writer.commit([patch])
        with closing(Snapshot(writer.reader(), 1, ENGINE)) as one:
            for mine, other in zip(coordinator.run(queries), one.run(queries), strict=True):
                assert isinstance(mine, SearchResult)
                assert isinstance(other, SearchResult)
                (hit,), (wanted,) = mine.hits, other.hits
                assert hit.scores == pytest.approx(wanted.scores, abs=1e-6)
