"""A bundle of several segments and deletions opens whole or not at all, one generation or the next."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lurcher.bundle.bundle import SEGMENT, Bundle
from lurcher.bundle.generations import UNFINISHED
from lurcher.bundle.manifest import MANIFEST, Manifest, read_manifest, write_manifest
from lurcher.bundle.verifying import verify
from lurcher.errors import BundleCorrupt
from tests.living import SECOND, cut_in_two, files_with, publish, without


@pytest.fixture
def path(small_bundle: Path, tmp_path: Path) -> Path:
    return shutil.copytree(small_bundle, tmp_path / "living.lurcher")


@pytest.fixture
def shorter(path: Path) -> Path:
    """A bundle of one segment of which passages 3 and 59 are deleted."""
    entry = without(path, read_manifest(path).segments[0], (3, 59))
    publish(path, [entry], files_with(path, entry.deleted))
    return path


@pytest.fixture
def twofold(path: Path) -> Path:
    """A bundle of two segments: the last ten passages of the first, and the first fifty of its copy."""
    cut_in_two(path)
    return path


def ids(bundle: Bundle) -> list[str]:
    rows = bundle.passages.rows(())
    return [passage.id for passage in bundle.passages.get(rows.tolist())]


def test_what_is_deleted_is_in_no_list_and_no_count(shorter: Path, small_bundle: Path) -> None:
    with closing(Bundle.open(shorter)) as bundle, closing(Bundle.open(small_bundle)) as before:
        all_ids = ids(before)
        assert bundle.manifest.passages == bundle.passages.count == 58
        assert ids(bundle) == [id_ for row, id_ in enumerate(all_ids) if row not in (3, 59)]
        assert set(bundle.passages.rows_of(all_ids)) == set(ids(bundle))
        query = before.vectors.vectors(np.array([3]))
        assert 3 not in bundle.vectors.search(query, 60)[1]
    assert verify(shorter) == []


def test_two_segments_are_one_bundle(twofold: Path, small_bundle: Path) -> None:
    with closing(Bundle.open(twofold)) as bundle, closing(Bundle.open(small_bundle)) as before:
        everything = ids(before)
        assert ids(bundle) == [*everything[50:], *everything[:50]]
        assert bundle.passages.fields == before.passages.fields
        for name in ("tokens", "lexical"):
            one, both = getattr(before.manifest, name), getattr(bundle.manifest, name)
            assert both.bytes == 2 * one.bytes
    assert verify(twofold) == []


def test_the_next_generation_shares_what_is_the_same(path: Path) -> None:
    with closing(Bundle.open(path)) as old:
        entry = without(path, old.manifest.segments[0], (0,))
        publish(path, [entry], files_with(path, entry.deleted))
        with closing(old.refreshed()) as new:
            assert new.manifest.generation == old.manifest.generation + 1
            assert new.segments[0] is old.segments[0]
            assert new.codecs is old.codecs
            assert (old.passages.count, new.passages.count) == (60, 59)


def test_files_are_closed_with_the_last_snapshot_that_has_them(path: Path) -> None:
    closed: list[str] = []
    first = Bundle.open(path)
    first.segments[0].uses.afterwards(lambda: closed.append("segment"))
    second = first.with_segments(first.segments, [np.arange(60) < 10])
    first.close()
    first.close()
    assert closed == []
    assert len(second.passages.get([10])) == 1
    second.close()
    assert closed == ["segment"]


@pytest.mark.parametrize("moment", ["generation: written", "generation: renamed"])
def test_a_writer_that_is_killed_leaves_one_generation_or_the_next(path: Path, moment: str) -> None:
    class Killed(Exception):
        pass

    def fail(at: str) -> None:
        if at == moment:
            raise Killed

    entry = without(path, read_manifest(path).segments[0], (1, 2))
    with suppress(Killed):
        publish(path, [entry], files_with(path, entry.deleted), fail_point=fail)
    published = moment == "generation: renamed"
    with closing(Bundle.open(path)) as bundle:
        assert bundle.passages.count == (58 if published else 60)
    # The next one gets through.
    publish(path, [entry], files_with(path, entry.deleted))
    assert read_manifest(path).passages == 58
    assert not (path / UNFINISHED).exists()


def spoilt(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "torn": lambda file: file.write_bytes(file.read_bytes()[:-1]),
    "gone": Path.unlink,
    "altered": spoilt,
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("kind", ["deleted-000002.npy", "tokens.bin", "alike.npy", "lexical.idx"])
def test_a_damaged_file_of_any_segment_is_named(twofold: Path, kind: str, damage: str) -> None:
    file = f"{SECOND}/{kind}"
    DAMAGE[damage](twofold / file)
    with pytest.raises(BundleCorrupt) as caught:
        Bundle.open(twofold)
    assert caught.value.file == file
    assert verify(twofold)[0].startswith(f"{file}: ")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (np.zeros(8, np.uint8), "names 0 deleted passages, expected 2 of 60"),
        (np.full(8, 255, np.uint8), "names 64 deleted passages, expected 2 of 60"),
        (np.zeros(7, np.uint8), r"has uint8 \(7,\), expected uint8 \(8,\)"),
        (np.zeros(8, np.int64), r"has int64 \(8,\), expected uint8 \(8,\)"),
    ],
)
def test_deletions_that_cannot_be_are_refused(shorter: Path, content: Any, reason: str) -> None:
    (entry,) = read_manifest(shorter).segments
    assert entry.deleted is not None
    np.save(shorter / entry.deleted, content)
    publish(shorter, [entry], files_with(shorter, entry.deleted))
    with pytest.raises(BundleCorrupt, match=reason) as caught:
        Bundle.open(shorter)
    assert caught.value.file == entry.deleted


def test_segments_that_do_not_fit_are_refused(twofold: Path) -> None:
    manifest = read_manifest(twofold)
    first, second = manifest.segments
    fewer = manifest.stores_of(second).model_copy(update={"tokens": None})
    for entries, reason in (
        ([], "it has no segment"),
        ([first, second.model_copy(update={"stores": None})], "does not say what segments/000001"),
        (
            [first, second.model_copy(update={"stores": fewer})],
            "the 'tokens' of segments/000001 do not fit one with them",
        ),
    ):
        write_manifest(twofold, manifest.model_copy(update={"segments": entries}))
        with pytest.raises(BundleCorrupt, match=reason) as caught:
            Bundle.open(twofold)
        assert caught.value.file == MANIFEST


@pytest.mark.parametrize("version", [3, 4])
def test_a_bundle_of_an_older_format_is_one_segment(path: Path, version: int) -> None:
    """Its manifest says nothing of generations, and there are no keys of texts."""
    manifest = read_manifest(path)
    files = {k: v for k, v in manifest.files.items() if not k.endswith("alike.npy")}
    (path / SEGMENT / "alike.npy").unlink()
    update = {"format_version": version, "files": files}
    write_manifest(path, manifest.model_copy(update=update))
    document = json.loads((path / MANIFEST).read_text())
    del document["generation"], document["checksum"]
    document["segments"] = [{"name": "000000", "passages": 60}]
    assert Manifest.model_validate(document).model_copy(
        update={"checksum": read_manifest(path).checksum}
    ) == read_manifest(path)
    with closing(Bundle.open(path)) as bundle:
        assert bundle.passages.count == 60
        entry = without(path, bundle.manifest.segments[0], (5,))
        made = publish(path, [entry], files_with(path, entry.deleted))
        assert made.format_version == 5
        with closing(bundle.refreshed()) as new:
            assert new.passages.count == 59
