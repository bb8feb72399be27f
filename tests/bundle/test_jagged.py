"""Jagged stores: passages come back as they were written, whatever a kill cuts off; no bad store opens."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.bundle.jagged import (
    Column,
    JaggedLayout,
    JaggedStore,
    JaggedWriter,
    count_type,
    map_file,
)
from lurcher.errors import BundleCorrupt
from tests.killed import KilledError

SEGMENT = "segments/000000"
Array = npt.NDArray[Any]


def layout_of(columns: int, counts: tuple[str, ...], most: int = 40) -> JaggedLayout:
    """A layout like those of the stores: wide codes first, a position each, bytes or larger numbers."""
    own = (Column("x.bin", np.dtype(np.uint8), 3), Column("x.pos", np.dtype(np.uint16)))
    return JaggedLayout(own[:columns], "x.idx", counts, count_type(most))


ONE, TWO = layout_of(1, ("codes",)), layout_of(2, ("codes", "tokens"))
LAYOUTS = [ONE, TWO, layout_of(1, ("codes", "tokens"), 300), layout_of(2, ("codes",), 70_000)]


@dataclass(frozen=True)
class Corpus:
    """Passages' entries by column, and how many tokens each has."""

    columns: tuple[list[Array], ...]
    tokens: list[int]

    def __len__(self) -> int:
        return len(self.tokens)

    def part(self, rows: slice) -> Corpus:
        return Corpus(tuple(column[rows] for column in self.columns), self.tokens[rows])


def corpus_of(layout: JaggedLayout, lengths: list[int], seed: int = 0) -> Corpus:
    draw = np.random.default_rng(seed)
    columns = tuple(
        [draw.integers(0, 256, column.shape(n)).astype(column.dtype) for n in lengths]
        for column in layout.columns
    )
    return Corpus(columns, [n + 1 for n in lengths])


def append(writer: JaggedWriter, layout: JaggedLayout, corpus: Corpus) -> None:
    writer.append(corpus.columns, *[corpus.tokens] * (len(layout.counts) - 1))


def write(root: Path, layout: JaggedLayout, corpus: Corpus, batch: int = 3) -> list[int]:
    """Write a store for ``corpus``; what its index adds up to."""
    (root / SEGMENT).mkdir(parents=True)
    with JaggedWriter(root / SEGMENT, layout) as writer:
        for first in range(0, len(corpus), batch):
            append(writer, layout, corpus.part(slice(first, first + batch)))
    return layout.measure(root / SEGMENT)[0]


lengths = st.lists(st.just(0) | st.integers(0, 39), min_size=1, max_size=12)


@given(st.sampled_from(LAYOUTS), lengths, st.data())
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    layout: JaggedLayout,
    lengths: list[int],
    data: st.DataObject,
) -> None:
    root, corpus = tmp_path_factory.mktemp("store"), corpus_of(layout, lengths)
    totals = write(root, layout, corpus)
    assert totals == [sum(lengths), sum(corpus.tokens)][: len(layout.counts)]
    files = layout.files(root / SEGMENT)
    entry = sum(column.entry_bytes for column in layout.columns)
    wanted = sum(lengths) * entry + len(lengths) * layout.index_bytes
    assert layout.measure(root / SEGMENT)[1] == wanted == sum(f.stat().st_size for f in files)
    store = JaggedStore.open(root, SEGMENT, layout, len(corpus), *totals)
    rows = data.draw(
        st.lists(st.integers(0, len(corpus) - 1), max_size=8)
    )  # in any order, and again
    entries, counts = store.gather(np.array(rows, np.int64))
    assert (entries.dtype, counts.dtype) == (np.uint8, np.int64)
    assert counts.tolist() == [lengths[row] for row in rows]
    found = [corpus.columns[0][row] for row in rows]
    np.testing.assert_array_equal(entries, np.concatenate([*found, np.zeros((0, 3), np.uint8)]))
    for column, own in enumerate(corpus.columns):
        for row in range(len(corpus)):
            np.testing.assert_array_equal(store.gather(np.array([row]), column)[0], own[row])


@given(st.sampled_from(LAYOUTS), lengths, st.data())
def test_a_store_that_was_torn_anywhere_is_continued_to_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory,
    layout: JaggedLayout,
    lengths: list[int],
    data: st.DataObject,
) -> None:
    """Each file is torn by itself: after a loss of power the last one may be the longest."""
    whole, torn = (tmp_path_factory.mktemp(name) for name in ("whole", "torn"))
    corpus = corpus_of(layout, lengths)
    write(whole, layout, corpus)
    written = data.draw(st.integers(0, len(corpus)))
    write(torn, layout, corpus.part(slice(written)))
    for file in layout.files(torn / SEGMENT):
        size = file.stat().st_size
        os.truncate(file, data.draw(st.just(size) | st.integers(0, size)))
    with JaggedWriter(torn / SEGMENT, layout) as writer:
        assert writer.passages <= written
        start = data.draw(st.integers(0, writer.passages))  # fewer, if other files are shorter
        writer.truncate(start)
        assert writer.passages == start
        append(writer, layout, corpus.part(slice(start, None)))
        assert writer.passages == len(corpus)
    for one, other in zip(layout.files(torn / SEGMENT), layout.files(whole / SEGMENT), strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_nothing_that_is_whole_is_lost(tmp_path: Path) -> None:
    layout = layout_of(2, ("codes", "tokens"), 300)  # whose numbers take two bytes each
    lengths = [3, 0, 5, 1, 0, 0, 7, 2, 0, 4]
    write(tmp_path, layout, corpus_of(layout, lengths))
    codes, _, index = layout.files(tmp_path / SEGMENT)
    with JaggedWriter(tmp_path / SEGMENT, layout) as writer:
        assert writer.passages == len(lengths)
    os.truncate(index, index.stat().st_size - 1)  # half of the last passage's numbers
    with JaggedWriter(tmp_path / SEGMENT, layout) as writer:
        assert writer.passages == len(lengths) - 1
    os.truncate(codes, codes.stat().st_size - 1)  # part of the last code of the passage 7
    with JaggedWriter(tmp_path / SEGMENT, layout) as writer:
        assert writer.passages == 7  # 8 has no codes, but comes after one that is not whole


def test_the_index_is_written_after_the_entries(tmp_path: Path) -> None:
    def kill(place: str) -> None:
        if place == "x.idx: entries written":
            raise KilledError

    corpus = corpus_of(TWO, [3, 2])
    write(tmp_path, TWO, corpus.part(slice(1)))
    with pytest.raises(KilledError), JaggedWriter(tmp_path / SEGMENT, TWO, kill) as writer:
        append(writer, TWO, corpus.part(slice(1, None)))
    codes, positions, index = (f.stat().st_size for f in TWO.files(tmp_path / SEGMENT))
    assert (codes, positions, index) == (5 * 3, 5 * 2, 2)
    with JaggedWriter(tmp_path / SEGMENT, TWO) as writer:
        assert writer.passages == 1
    assert [f.stat().st_size for f in TWO.files(tmp_path / SEGMENT)] == [3 * 3, 3 * 2, 2]


@pytest.mark.parametrize(("most", "kind"), [(255, np.uint8), (256, np.uint16), (70_000, np.uint32)])
def test_numbers_are_as_small_as_can_be(most: int, kind: type[np.unsignedinteger[Any]]) -> None:
    assert count_type(most) == kind


def test_counts_do_not_overflow_when_they_are_added(tmp_path: Path) -> None:
    layout = layout_of(1, ("codes",), 255)
    corpus = corpus_of(layout, [255] * 1_000)
    assert write(tmp_path, layout, corpus, 1_000) == [255_000]
    os.truncate(tmp_path / SEGMENT / "x.bin", 254_999 * 3)
    with JaggedWriter(tmp_path / SEGMENT, layout) as writer:
        assert writer.passages == 999


# Stores that are not what they should be.

LENGTHS = [3, 0, 5, 1, 0, 0, 7, 2, 0, 4]
Spoil = Callable[[Path], object]


def resize(file: str, by: int) -> Spoil:
    def spoil(folder: Path) -> None:
        os.truncate(folder / file, (folder / file).stat().st_size + by)

    return spoil


def renumber(number: int) -> Spoil:
    """A passage has one code, or token, more than it has."""

    def spoil(folder: Path) -> None:
        numbers = np.fromfile(folder / "x.idx", np.uint8)
        numbers[2 * 3 + number] += 1
        numbers.tofile(folder / "x.idx")

    return spoil


FILES = ["x.bin", "x.pos", "x.idx"]


@pytest.mark.parametrize(
    ("spoil", "file", "reason"),
    [
        *[(resize(file, by), file, r"\d+ bytes, expected \d+") for file in FILES for by in (-1, 1)],
        *[(lambda r, f=file: (r / f).unlink(), file, "0 bytes, expected") for file in FILES],
        (resize("x.bin", -1), "x.bin", "65 bytes, expected 66"),
        (renumber(0), "x.idx", "counts 23 codes of 32 tokens, expected 22 of 32"),
        (renumber(1), "x.idx", "counts 22 codes of 33 tokens, expected 22 of 32"),
    ],
)
def test_a_damaged_store_is_refused_and_its_file_named(
    tmp_path: Path, spoil: Spoil, file: str, reason: str
) -> None:
    totals = write(tmp_path, TWO, corpus_of(TWO, LENGTHS))
    spoil(tmp_path / SEGMENT)
    with pytest.raises(BundleCorrupt, match=reason) as caught:
        JaggedStore.open(tmp_path, SEGMENT, TWO, 10, *totals)
    assert caught.value.file == f"{SEGMENT}/{file}"


@pytest.mark.parametrize(
    ("layout", "passages", "expected"),
    [
        (TWO, 9, (22, 32)),
        (TWO, 11, (22, 32)),
        (TWO, 2**63, (22, 32)),
        (TWO, 2**80, (22, 32)),
        (TWO, 10, (21, 32)),
        (TWO, 10, (2**62, 32)),
        (TWO, 10, (22, 33)),
        (replace(TWO, count_type=np.dtype(np.uint16)), 10, (22, 32)),
    ],
)
def test_a_store_of_something_else_is_refused(
    tmp_path: Path, layout: JaggedLayout, passages: int, expected: tuple[int, int]
) -> None:
    write(tmp_path, TWO, corpus_of(TWO, LENGTHS))
    with pytest.raises(BundleCorrupt, match="expected") as caught:
        JaggedStore.open(tmp_path, SEGMENT, layout, passages, *expected)
    assert caught.value.file == f"{SEGMENT}/x.idx"


def test_a_store_without_an_entry_opens(tmp_path: Path) -> None:
    write(tmp_path, TWO, corpus_of(TWO, [0, 0, 0]))
    store = JaggedStore.open(tmp_path, SEGMENT, TWO, 3, 0, 3)
    entries, counts = store.gather(np.arange(3))
    assert (entries.shape, counts.tolist()) == ((0, 3), [0, 0, 0])
    nothing, none = store.gather(np.zeros(0, np.int64))
    assert (nothing.shape, none.shape) == ((0, 3), (0,))


def test_a_file_of_another_size_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(bytes(6))
    assert map_file(tmp_path, "x.bin", np.uint16, (3, 1)).tolist() == [[0], [0], [0]]
    for name, shape, has in (("x.bin", (4, 1), 6), ("y.bin", (1,), 0)):
        with pytest.raises(BundleCorrupt, match=f"{name}: {has} bytes, expected") as caught:
            map_file(tmp_path, name, np.uint16, shape)
        assert caught.value.file == name


# Size.


def mapped(array: Any) -> bool:
    """Whether ``array`` is a file's pages, and not memory of its own."""
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    return array is not None


def test_a_million_passages_open_without_their_entries_being_read(tmp_path: Path) -> None:
    """Of a file with holes: what is asked for is read, and the rest stays where it is."""
    passages, entries = 1_000_000, 150
    layout = layout_of(2, ("codes", "tokens"), 255)
    write(tmp_path, layout, corpus_of(layout, []))
    bin_, pos, index = layout.files(tmp_path / SEGMENT)
    np.full((passages, 2), (entries, 200), np.uint8).tofile(index)
    os.truncate(bin_, passages * entries * 3)
    os.truncate(pos, passages * entries * 2)
    with bin_.open("r+b") as file:
        file.seek(777_777 * entries * 3)
        file.write(b"\xff" * 24)
    totals = layout.measure(tmp_path / SEGMENT)[0]
    assert totals == [passages * entries, passages * 200]
    before = _resident()
    store = JaggedStore.open(tmp_path, SEGMENT, layout, passages, *totals)
    assert all(mapped(column) and not column.flags.writeable for column in store.columns)
    # Eight bytes a passage are where its entries start; the entries would be 750 MB.
    assert _resident() - before < 60 * 2**20
    found, counts = store.gather(np.array([777_777, 0, passages - 1]))
    assert counts.tolist() == [entries] * 3
    assert found[:8].all()
    assert not found[8:].any()


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * mmap.PAGESIZE
