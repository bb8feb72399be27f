"""``cluster.json`` and the bundles beside it: what does not belong together is refused, and named."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.cluster.build import build_cluster
from lurcher.cluster.cluster_file import CLUSTER, check_bundles, read_cluster, read_rows
from lurcher.cluster.sharding import shard_of
from lurcher.errors import BundleError, BundleNotFound, BundleVersionError, FieldError
from lurcher.index_builder.edit.gather import Gatherer
from tests.tiny import TinyOptions


@pytest.fixture
def copied(small_cluster: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_cluster, tmp_path / "copied"))


def change(folder: Path, **parts: Any) -> None:
    file = folder / CLUSTER
    file.write_text(json.dumps(json.loads(file.read_text()) | parts))


def test_shards_hold_what_one_build_made(small_cluster: Path, small_bundle: Path) -> None:
    cluster = read_cluster(small_cluster)
    check_bundles(small_cluster, cluster)
    with closing(Bundle.open(small_bundle)) as whole:
        wanted = Gatherer(small_bundle, whole.manifest, whole.codecs, whole.segments[0])
        seen = []
        for number, entry in enumerate(cluster.shards):
            rows, _ = read_rows(small_cluster, entry)
            with closing(Bundle.open(small_cluster / entry.path)) as part:
                reader = Gatherer(part.path, part.manifest, part.codecs, part.segments[0])
                mine, theirs = reader.read(np.arange(len(rows))), wanted.read(rows)
            assert mine.passages == theirs.passages
            assert all(shard_of(one.document, 3) == number for one in mine.passages)
            assert mine.vectors is not None
            assert theirs.vectors is not None
            assert mine.vectors.tobytes() == theirs.vectors.tobytes()
            for one, other in zip(mine.kept, theirs.kept, strict=True):
                assert one.coded.codes.tobytes() == other.coded.codes.tobytes()
            seen += rows.tolist()
    assert sorted(seen) == list(range(cluster.passages))


def test_a_missing_bundle_is_named(copied: Path) -> None:
    shutil.rmtree(copied / "shard-001.lurcher")
    with pytest.raises(
        BundleNotFound, match=r"shard-001\.lurcher: named in cluster\.json, but not"
    ):
        check_bundles(copied, read_cluster(copied))


def test_another_bundle_in_the_place_of_a_shard_is_named(copied: Path, small_bundle: Path) -> None:
    shutil.rmtree(copied / "shard-000.lurcher")
    shutil.copytree(small_bundle, copied / "shard-000.lurcher")
    with pytest.raises(BundleError, match=r"shard-000\.lurcher: not the bundle that cluster\.json"):
        check_bundles(copied, read_cluster(copied))


def test_shards_that_disagree_are_named(copied: Path) -> None:
    change(copied, frozen="0" * 64)
    with pytest.raises(BundleError, match="other models, coders or frequencies"):
        check_bundles(copied, read_cluster(copied))


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"passages": 61}, "passages: 61, but its shards have 60"),
        ({"shards": []}, "shards"),
        ({"surprise": 1}, "surprise"),
        ({"format": 99}, "format 99; this version reads format 2"),
        ({"coordinator": {"path": "../x", "manifest": ""}}, "'../x' is no name"),
    ],
)
def test_what_contradicts_itself_is_refused(copied: Path, parts: dict[str, Any], said: str) -> None:
    change(copied, **parts)
    with pytest.raises((BundleError, BundleVersionError), match=said):
        read_cluster(copied)


def test_nothing_there_and_no_json(tmp_path: Path) -> None:
    with pytest.raises(BundleNotFound, match="--shards N"):
        read_cluster(tmp_path)
    (tmp_path / CLUSTER).write_text("{")
    with pytest.raises(BundleError, match=r"cluster\.json: not JSON"):
        read_cluster(tmp_path)


def test_rows_of_another_file_are_refused(copied: Path) -> None:
    cluster = read_cluster(copied)
    np.save(copied / cluster.shards[0].rows, np.arange(cluster.shards[0].passages))
    with pytest.raises(BundleError, match="does not match its hash"):
        read_rows(copied, cluster.shards[0])


def test_more_shards_than_documents_leave_nothing(small_corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(FieldError, match="61 shards for 60 documents"):
        build_cluster(small_corpus, tmp_path / "many", 61, TinyOptions())
    assert not (tmp_path / "many").exists()


@pytest.mark.parametrize("shards", [0, -2])
def test_no_shards_are_refused(small_corpus: Path, tmp_path: Path, shards: int) -> None:
    with pytest.raises(FieldError, match="at least 1"):
        build_cluster(small_corpus, tmp_path / "none", shards)
