"""Copies are found from segment to segment, and the first that is not deleted stands for the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lurcher.bundle.copies import words_key
from lurcher.bundle.row_space import RowSpace
from lurcher.bundle.segmented.copies import Copies, SegmentCopies
from lurcher.index_builder.near_duplicates import first_alike

TEXTS = [
    "a cat sleeps",
    "A cat, sleeps!",
    "bread rises",
    "",
    "...",
    "Brot geht auf",
    "a  CAT sleeps",
]


def part(texts: Sequence[str]) -> SegmentCopies:
    keys = np.array([words_key(text) for text in texts], np.uint64)
    return SegmentCopies(len(texts), first_alike(texts), keys)


def first(parts: Sequence[Sequence[str]], deleted: set[int]) -> list[int]:
    """The first row of each by ``Copies``, its own for what is deleted."""
    counts = [len(texts) for texts in parts]
    gone = np.isin(np.arange(sum(counts)), list(deleted))
    masks = [one if one.any() else None for one in np.split(gone, np.cumsum(counts)[:-1])]
    copies = Copies(RowSpace.of(counts, masks), tuple(map(part, parts))).first
    return list(range(sum(counts))) if copies is None else copies.tolist()


@given(st.lists(st.lists(st.sampled_from(TEXTS), max_size=4), min_size=1, max_size=4), st.data())
def test_the_first_left_of_each_text_stands_for_it(
    parts: list[list[str]], data: st.DataObject
) -> None:
    texts = [text for one in parts for text in one]
    deleted = data.draw(st.sets(st.integers(0, max(0, len(texts) - 1))))
    wanted: list[int] = []
    seen: dict[int, int] = {}
    for row, text in enumerate(texts):
        key = words_key(text)
        wanted.append(row if row in deleted or not key else seen.setdefault(key, row))
    assert first(parts, deleted) == wanted


def test_what_is_nearly_a_copy_of_a_copy_in_its_own_segment_is_one_too() -> None:
    text = " ".join(f"word{n}" for n in range(200))
    nearly = text.replace("word77 ", "")
    assert first([[text], ["other", text, nearly]], set()) == [0, 1, 0, 0]
    # From one segment to another nearly is not enough.
    assert first([[text], ["other", nearly]], set()) == [0, 1, 2]


def test_without_keys_a_segment_has_its_own_copies_alone() -> None:
    old = SegmentCopies(2, np.array([0, 0]), None)
    copies = Copies(RowSpace.of([2, 2], [None, None]), (old, part(["a cat", "a cat"])))
    assert copies.first is not None
    assert copies.first.tolist() == [0, 0, 2, 2]
