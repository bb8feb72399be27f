"""The file that says which passages have nearly the same text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lurcher.bundle.copies import read_copies, write_copies
from lurcher.errors import BundleCorrupt

NAME = "copies.npy"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_copies(tmp_path, NAME, np.array([0, 1, 0, 1]))
    found = read_copies(tmp_path, NAME, 4)
    assert found is not None
    assert found.tolist() == [0, 1, 0, 1]


def test_passages_of_which_no_two_are_alike_have_none(tmp_path: Path) -> None:
    write_copies(tmp_path, NAME, np.arange(3))
    assert read_copies(tmp_path, NAME, 3) is None


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (np.array([0, 1]), "expected int64"),
        (np.array([0, 1, 2], np.int32), "expected int64"),
        (np.array([0, 2, 2]), "not the first"),
        (np.array([0, 0, 1]), "not the first"),
        (np.array([0, -1, 2]), "not the first"),
    ],
)
def test_a_file_that_cannot_be_is_refused(tmp_path: Path, first: np.ndarray, reason: str) -> None:
    write_copies(tmp_path, NAME, first)
    with pytest.raises(BundleCorrupt, match=reason):
        read_copies(tmp_path, NAME, 3)


@pytest.mark.parametrize("content", [None, b"", b"\x93NUMPY\x01\x00"])
def test_a_file_missing_or_cut_short_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / NAME).write_bytes(content)
    with pytest.raises(BundleCorrupt, match=NAME):
        read_copies(tmp_path, NAME, 3)
