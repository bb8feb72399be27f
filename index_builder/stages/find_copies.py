"""Stage ``copies``: which passages have nearly the same text, and keys of what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lurcher.bundle.bundle import ALIKE, COPIES
from lurcher.bundle.copies import words_key, write_copies, write_keys
from lurcher.bundle.passages import Passages, Rows
from lurcher.index_builder.build_context import BuildContext
from lurcher.index_builder.near_duplicates import first_alike

_TOGETHER = 100


def depends_on(_: BuildContext) -> object:
    """Nothing but the passages."""
    return None


def run(context: BuildContext) -> None:
    """Write the files of copies and of keys."""
    first, keys = copies_of(context.passages)
    write_copies(context.bundle, COPIES, first)
    write_keys(context.bundle, ALIKE, keys)


def go_on() -> None:
    """Do not wait."""


def copies_of(passages: Passages, breathe: Callable[[], object] = go_on) -> tuple[Rows, list[int]]:
    """For each of ``passages`` the row of the first that is nearly the same, (n,) int64, and its key.

    ``breathe`` is called now and then and may wait.
    """
    keys: list[int] = []

    def texts() -> Iterator[str]:
        for start in range(0, passages.count, _TOGETHER):
            breathe()
            for passage in passages.get(range(start, min(start + _TOGETHER, passages.count))):
                keys.append(words_key(passage.text))
                yield passage.text

    return first_alike(texts()), keys
