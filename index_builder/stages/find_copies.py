"""Stage ``copies``: which passages have nearly the same text."""

from __future__ import annotations

from lurcher.bundle.bundle import COPIES
from lurcher.bundle.copies import write_copies
from lurcher.index_builder.build_context import BuildContext
from lurcher.index_builder.near_duplicates import first_alike

_TOGETHER = 1_000


def depends_on(_: BuildContext) -> object:
    """Nothing but the passages."""
    return None


def run(context: BuildContext) -> None:
    """Write the file of copies."""
    passages = context.passages
    starts = range(0, passages.count, _TOGETHER)
    texts = (
        passage.text
        for start in starts
        for passage in passages.get(range(start, min(start + _TOGETHER, passages.count)))
    )
    write_copies(context.bundle, COPIES, first_alike(texts))
