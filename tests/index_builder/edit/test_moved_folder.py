"""A folder that takes the place of one that is being written is not written into."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lurcher.errors import BundleError
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.edit.requests import Delete, Upsert
from lurcher.index_builder.edit.writer import Writer

WRITE = Upsert((Document("new", "An axolotl keeps its gills."),))


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()
    }


def assert_written(path: Path) -> None:
    """The bundle at ``path`` has the write."""
    writer = Writer.open(path)
    assert writer.bundle.passages.rows_of(["new"])
    writer.abandon()


def test_a_writer_whose_folder_was_replaced_leaves_the_new_one_alone_and_keeps_its_log(
    small_bundle: Path, tmp_path: Path
) -> None:
    path, moved = tmp_path / "docs.lurcher", tmp_path / "before.lurcher"
    shutil.copytree(small_bundle, path)
    writer = Writer.open(path)
    first = writer.bundle.passages.get([0])[0].id
    writer.commit([Delete((first,))])
    writer.flush()
    path.rename(moved)
    shutil.copytree(small_bundle, path)
    before = files(path)
    writer.commit([WRITE])  # its log has moved with its folder
    for change in (
        writer.flush, lambda: writer.compact(everything=True), writer.recalibrate, writer.close
    ):  # fmt: skip
        with pytest.raises(BundleError, match="was moved away, or replaced by another"):
            change()
    assert files(path) == before
    assert_written(moved)


def test_work_that_began_before_is_not_put_into_the_new_folder(
    small_bundle: Path, tmp_path: Path
) -> None:
    path = tmp_path / "docs.lurcher"
    shutil.copytree(small_bundle, path)
    writer = Writer.open(path)
    first = writer.bundle.passages.get([0])[0].id
    writer.commit([Delete((first,))])
    writer.flush()
    work = writer.begin_compaction(everything=True)
    assert work is not None
    work.write()
    path.rename(tmp_path / "before.lurcher")
    shutil.copytree(small_bundle, path)
    with pytest.raises(BundleError, match="was moved away"):
        writer.finish_compaction(work)
    writer.close()
    assert files(path) == files(small_bundle)


def test_a_link_that_was_turned_leads_the_writer_nowhere_else(
    small_bundle: Path, tmp_path: Path
) -> None:
    old, new, link = tmp_path / "v1", tmp_path / "v2", tmp_path / "docs.lurcher"
    for one in (old, new):
        shutil.copytree(small_bundle, one)
    link.symlink_to(old)
    writer = Writer.open(link)
    writer.commit([WRITE])
    link.unlink()
    link.symlink_to(new)
    before = files(new)
    writer.close()
    assert files(new) == before
    assert_written(old)
