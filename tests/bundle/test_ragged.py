"""Ragged rows: their index, and their entries gathered by passage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.bundle.ragged import count_type, gather, mapped, read_index, starts_of, whole
from lurcher.models.errors import BundleCorrupt

Counts = st.lists(st.integers(0, 6), min_size=1, max_size=20)


@given(Counts, st.data())
def test_entries_are_those_of_the_passages_asked_for(
    counts: list[int], data: st.DataObject
) -> None:
    owners = np.repeat(np.arange(len(counts)), counts)
    index = np.array([(count, 9) for count in counts], np.uint8)
    starts = starts_of(index)
    assert starts[-1] == len(owners)
    rows = data.draw(st.lists(st.integers(0, len(counts) - 1), max_size=9))
    places, found = gather(starts, np.array(rows, np.int64))
    assert found.tolist() == [counts[row] for row in rows]
    assert owners[places].tolist() == [row for row in rows for _ in range(counts[row])]
    for row in set(rows):  # each once, in their order
        assert (np.diff(np.unique(places[owners[places] == row])) == 1).all()


@given(Counts, st.integers(0, 120))
def test_passages_that_lost_entries_are_not_whole(counts: list[int], entries: int) -> None:
    index = np.array([(count, 9) for count in counts], np.uint8)
    wanted = sum(sum(counts[: n + 1]) <= entries for n in range(len(counts)))
    assert whole(index, entries) == wanted


def test_counts_do_not_wrap_where_they_are_added() -> None:
    index = np.full((1_000, 2), 255, np.uint8)
    assert starts_of(index)[-1] == 255_000
    assert whole(index, 254_999) == 999


@pytest.mark.parametrize(("most", "kind"), [(255, np.uint8), (256, np.uint16), (70_000, np.uint32)])
def test_numbers_are_as_small_as_can_be(most: int, kind: type[np.unsignedinteger]) -> None:
    assert count_type(most) == kind


def test_half_a_pair_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "x.idx"
    file.write_bytes(bytes([1, 2, 3]))
    assert read_index(file, np.dtype(np.uint8)).tolist() == [[1, 2]]
    file.write_bytes(b"")
    assert read_index(file, np.dtype(np.uint8)).shape == (0, 2)


def test_a_file_of_another_size_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(bytes(6))
    assert mapped(tmp_path, "x.bin", np.uint16, (3, 1)).tolist() == [[0], [0], [0]]
    for name, shape, has in (("x.bin", (4, 1), 6), ("y.bin", (1,), 0)):
        with pytest.raises(BundleCorrupt, match=f"{name}: {has} bytes, expected") as caught:
            mapped(tmp_path, name, np.uint16, shape)
        assert caught.value.file == name
    (tmp_path / "none.bin").write_bytes(b"")
    assert mapped(tmp_path, "none.bin", np.uint8, (0, 20)).shape == (0, 20)
