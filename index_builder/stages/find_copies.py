"""Stage ``copies``: which passages have nearly the same text, and keys of what they say."""

from __future__ import annotations

from collections.abc import Iterator

from lurcher.bundle.bundle import ALIKE, COPIES
from lurcher.bundle.copies import words_key, write_copies, write_keys
from lurcher.index_builder.build_context import BuildContext
from lurcher.index_builder.near_duplicates import first_alike

_TOGETHER = 1_000


def depends_on(_: BuildContext) -> object:
    """Nothing but the passages."""
    return None


def run(context: BuildContext) -> None:
    """Write the files of copies and of keys."""
    passages = context.passages
    starts = range(0, passages.count, _TOGETHER)
    keys: list[int] = []

    def texts() -> Iterator[str]:
        for start in starts:
            for passage in passages.get(range(start, min(start + _TOGETHER, passages.count))):
                keys.append(words_key(passage.text))
                yield passage.text

    write_copies(context.bundle, COPIES, first_alike(texts()))
    write_keys(context.bundle, ALIKE, keys)
