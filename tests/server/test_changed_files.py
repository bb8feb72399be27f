"""Files that are changed while they are served: the server says so, and does not answer from them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.file_marks import FileMarks
from tests.server.serving import assert_problem, running, settings, until

FILE = "segments/000000/passages.db"


@pytest.fixture
def bundle(small_bundle: Path, tmp_path: Path) -> Path:
    return shutil.copytree(small_bundle, tmp_path / "small.lurcher")


def test_a_bundle_whose_file_was_overwritten_is_not_ready_and_not_searched(bundle: Path) -> None:
    with running(settings(bundle)) as client:
        assert client.search("cat").status == 200
        size = (bundle / FILE).stat().st_size

        def overwritten() -> bool:
            # Again and again: the server may not have taken its first look yet.
            with (bundle / FILE).open("r+b") as file:
                file.seek(size // 2)
                file.write(os.urandom(64))
            return client.get("/readyz").status == 503

        until(overwritten)
        told = assert_problem(client.search("cat"), 503)["detail"]
        assert FILE in told
        assert "was changed while it is served" in told
        assert client.get("/livez").status == 200


@pytest.mark.parametrize("change", ["touched", "removed", "replaced", "linked", "mode"])
def test_what_leaves_the_content_as_it_was_is_no_change(
    bundle: Path, tmp_path: Path, change: str
) -> None:
    opened, file = Bundle.open(bundle), bundle / FILE
    marks = FileMarks(opened)
    if change == "touched":
        os.utime(file)
    elif change == "removed":
        file.unlink()
    elif change == "replaced":
        (tmp_path / "other").write_bytes(b"another")
        (tmp_path / "other").replace(file)
    elif change == "linked":
        (tmp_path / "other").hardlink_to(file)
    else:
        file.chmod(0o400)
    assert marks.changed() is None
    opened.close()


@pytest.mark.parametrize("cut", [0, 1])
def test_a_file_that_grew_or_was_cut_is_told(bundle: Path, cut: int) -> None:
    opened, file = Bundle.open(bundle), bundle / "segments/000000/copies.npy"
    marks = FileMarks(opened)
    os.truncate(file, file.stat().st_size + 1 - 2 * cut)
    assert marks.changed() == file
    opened.close()
