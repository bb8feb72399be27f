"""A collection in shards made equal to a corpus finds what one bundle finds to which the same was done."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.verifying import verify
from lurcher.cluster.cluster_file import ClusterFile, check_bundles, read_cluster
from lurcher.cluster.coordinator import Coordinator
from lurcher.cluster.shard import Shard
from lurcher.cluster.sync import sync_cluster
from lurcher.errors import BundleCorrupt, CorpusError, FieldError
from lurcher.index_builder.corpus import read_corpus
from lurcher.index_builder.edit.encode import Encoded, PassageEncoder
from lurcher.index_builder.edit.sync import Done, take_in
from lurcher.index_builder.edit.writer import Writer
from lurcher.index_builder.progress import Silent
from lurcher.retrieval.query import Query
from lurcher.retrieval.snapshot import Snapshot
from tests.cluster.conftest import ENGINE, NearShards
from tests.cluster.test_same_hits import LANGUAGE, TEXTS, hits

OpenCluster = Callable[[Path], tuple[Coordinator, NearShards]]
LONG = " ".join(f"Sentence {i} tells of an oboe in a valley." for i in range(40))
QUERIES = [Query(text, 70) for text in TEXTS]
QUERIES += [Query(text, 70, retrieve="lexical", rank="off") for text in TEXTS]
QUERIES += [Query(text, 70, conditions=(LANGUAGE,)) for text in TEXTS[:3]]

Records = list[dict[str, Any]]


def write(folder: Path, records: Iterable[dict[str, Any]]) -> Path:
    corpus = folder / "corpus.jsonl"
    corpus.write_text("".join(f"{json.dumps(one)}\n" for one in records))
    return corpus


def sync(before: Path, out: Path, corpus: Path, **how: Any) -> tuple[ClusterFile, Done]:
    return sync_cluster(before, out, lambda: read_corpus(corpus), **how)


def sync_one(bundle: Path, corpus: Path) -> Done:
    with closing(Writer.open(bundle, check_hashes=False)) as writer:
        return take_in(writer, read_corpus(corpus), Silent(), delete_others=True)


def changed(records: Records, version: int, choose: Random) -> Records:
    """Some of ``records``, some of them with another text, and new ones, one of them split; in any order."""
    left = []
    for one in records:
        match choose.randrange(4):
            case 0:
                left.append({**one, "text": f"{one['text']} A cat on the windowsill."})
            case 1 | 2:
                left.append(one)
    # Of one text, so that only their order in the corpus tells which comes first.
    new = [{"id": f"{version}-{i}", "text": "A cat in a glacier valley."} for i in range(8)]
    found = [*left, *new, {"id": f"long-{version}", "text": LONG, "lang": "en"}]
    choose.shuffle(found)
    return found


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(1, 40))]
)
def test_finds_what_one_bundle_finds(
    seed: int, small_cluster: Path, small_bundle: Path, small_records: Records,
    open_cluster: OpenCluster, tmp_path: Path,
) -> None:  # fmt: skip
    choose, folder = Random(seed), tmp_path
    one = Path(shutil.copytree(small_bundle, folder / "one.lurcher"))
    before, records = small_cluster, small_records
    for version in range(2):
        records = changed(records, version, choose)
        corpus = write(folder, records)
        after = folder / f"{version}.cluster"
        cluster, done = sync(before, after, corpus)
        assert done == sync_one(one, corpus)
        before = after
    assert cluster == read_cluster(before)
    check_bundles(before, cluster)
    with closing(Snapshot(Bundle.open(one), 1, ENGINE)) as snapshot:
        wanted = snapshot.run(QUERIES)
        assert cluster.passages == snapshot.bundle.rows.passages
    for mine, other, query in zip(
        open_cluster(before)[0].run(QUERIES), wanted, QUERIES, strict=True
    ):
        assert hits(mine) == hits(other), query


def test_copies_are_those_of_one_bundle(
    small_cluster: Path, small_bundle: Path, small_records: Records, open_cluster: OpenCluster,
    tmp_path: Path,
) -> None:  # fmt: skip
    one = Path(shutil.copytree(small_bundle, tmp_path / "one.lurcher"))
    text = " ".join(f"An oboe plays {i} notes." for i in range(20))
    first = [{"id": f"a{i}", "text": text, "lang": "en"} for i in range(6)]
    # The first goes; the words of one are those of another that stays, and the others have only each other.
    second = [*first[1:], {"id": "b", "text": text.upper()}]
    second += [{"id": f"c{i}", "text": LONG + f" It is {i}.", "lang": "en"} for i in range(6)]
    before = small_cluster
    for version, records in enumerate([first, second]):
        corpus = write(tmp_path, [*small_records, *records])
        after = tmp_path / f"{version}.cluster"
        sync(before, after, corpus)
        sync_one(one, corpus)
        before = after
    queries = [Query(text, 90, fold=True) for text in ["oboe plays notes", "oboe in a valley"]]
    queries += [replace(query, conditions=(LANGUAGE,)) for query in queries]
    with closing(Snapshot(Bundle.open(one), 1, ENGINE)) as snapshot:
        wanted = snapshot.run(queries)
    for mine, other in zip(open_cluster(before)[0].run(queries), wanted, strict=True):
        assert hits(mine) == hits(other)
        assert {hit.duplicates for hit in mine.hits} >= {5}  # type: ignore[union-attr]  # none fails
    assert {hit.passage.document for hit in wanted[0].hits} >= {"a1"}  # type: ignore[union-attr]  # none fails


class Counting(PassageEncoder):
    encoded: list[str]

    def encode(self, passages: Any, sources: Any, advance: Any = str) -> Encoded:
        self.encoded.extend(one.id for one in passages)
        return super().encode(passages, sources, advance)


def test_encodes_what_has_changed_and_leaves_the_version_before_as_it_is(
    small_cluster: Path, small_records: Records, open_cluster: OpenCluster, tmp_path: Path
) -> None:
    Counting.encoded = []
    before = Path(shutil.copytree(small_cluster, tmp_path / "1.cluster"))
    had = {one: one.read_bytes() for one in before.rglob("*") if one.is_file()}
    records = [*small_records[1:], {"id": "narwhal", "text": "A narwhal", "horns": 1}]
    cluster, done = sync(
        before,
        tmp_path / "2.cluster",
        write(tmp_path, records),
        load_encoder=partial(Counting.load, threads=1),
    )
    assert done == Done(1, len(records) - 1, 1)
    assert Counting.encoded == ["narwhal"]
    assert cluster.fingerprint != read_cluster(before).fingerprint
    assert ("horns", "number", 1) in [tuple(one) for one in cluster.fields]
    assert {one: one.read_bytes() for one in before.rglob("*") if one.is_file()} == had
    assert [verify(tmp_path / "2.cluster" / one.path) for one in cluster.shards] == [[], [], []]
    coordinator, _ = open_cluster(tmp_path / "2.cluster")
    (found,) = coordinator.run([Query("narwhal", retrieve="lexical", rank="off")])
    assert [one[0] for one in hits(found)] == ["narwhal"]  # a word that no passage had
    assert cluster.words is not None
    words = tmp_path / "2.cluster" / cluster.words.path
    for file in words.iterdir():
        written = file.read_bytes()
        file.write_bytes(b"others")
        with pytest.raises(BundleCorrupt, match=f"words/{file.name}: does not match"):
            Shard(tmp_path / "2.cluster", cluster, 0)
        file.write_bytes(written)


@pytest.mark.parametrize(
    ("records", "error", "said"),
    [
        ([], FieldError, "has no document"),
        ([{"id": "a", "text": "x"}, {"id": "a", "text": "y"}], CorpusError, "used before"),
        ([{"id": "a", "text": "x"}, {"text": 1}], CorpusError, "id is missing"),
    ],
)
def test_a_corpus_that_is_refused_leaves_nothing(
    small_cluster: Path, tmp_path: Path, records: Records, error: type[Exception], said: str
) -> None:
    corpus = write(tmp_path, records)
    with pytest.raises(error, match=said):
        sync(small_cluster, tmp_path / "2.cluster", corpus)
    assert list(tmp_path.iterdir()) == [corpus]


def test_a_document_with_the_id_of_a_passage_of_another_is_refused(
    small_cluster: Path, tmp_path: Path
) -> None:
    long = {"id": "long", "text": LONG}
    sync(small_cluster, tmp_path / "2.cluster", write(tmp_path, [long]))
    corpus = write(tmp_path, [long, {"id": "long#2", "text": "x"}])
    with pytest.raises(FieldError, match="must be unique"):
        sync(tmp_path / "2.cluster", tmp_path / "3.cluster", corpus)


def test_refuses_a_folder_that_is_there(small_cluster: Path, tmp_path: Path) -> None:
    with pytest.raises(FieldError, match="exists"):
        sync(small_cluster, tmp_path, write(tmp_path, [{"id": "a", "text": "x"}]))
