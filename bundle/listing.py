"""Passages in the order of their ids, some at a time: an order that no write changes for those that stay."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from itertools import islice

import numpy as np

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Rows
from lurcher.bundle.segment import Segment


def rows_after(bundle: Bundle, after: str, count: int, allow: Rows | None = None) -> list[int]:
    """Rows of the first ``count`` passages whose ids are greater than ``after``, in the order of their ids.

    ``allow`` are the rows, ascending, of those that may be; None: all. Ids are compared by code points.
    """
    space = bundle.rows
    passes = np.ones(space.count, np.bool_) if allow is None else np.zeros(space.count, np.bool_)
    if allow is not None:
        passes[allow] = True
    if space.live is not None:
        passes &= space.live
    streams = [
        _ids(segment, first, after)
        for segment, first in zip(bundle.segments, space.starts.tolist(), strict=False)
    ]
    return list(islice((row for _, row in merge(*streams) if passes[row]), count))


def _ids(segment: Segment, first: int, after: str) -> Iterator[tuple[str, int]]:
    """Id and row of each passage of ``segment``, whose rows begin at ``first``, after the id ``after``."""
    return ((id_, row + first) for id_, row in segment.passages.ids_after(after))
