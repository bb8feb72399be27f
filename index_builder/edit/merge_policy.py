"""When what was written goes to the disk, and which segments are made one: pure functions of their sizes.

Segments lie in tiers: up to ``step`` passages, up to ``step`` squared, and so on. Where ``step`` of one tier
are there, they become one of the next, so that a passage is copied once a tier and a search looks into at
most ``step`` - 1 segments of each. (The logarithmic method of Bentley & Saxe 1980; Lucene's LogMergePolicy.)
A segment of which too much is deleted is written again by itself, and so gives its room back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WritePolicy:
    """How a writer keeps its segments.

    passages, log_bytes, age   what is in memory goes to the disk when it has so many passages or bytes of
                               log, or when so many seconds are over
    step                       so many segments of a tier are made one
    most_deleted               beyond this share of deleted passages a segment is written again
    """

    passages: int = 2_000
    log_bytes: int = 32 << 20
    age: float = 60.0
    step: int = 8
    most_deleted: float = 0.2

    def tier(self, live: int) -> int:
        """The tier of a segment with so many passages, from 0."""
        return max(0, math.ceil(math.log(max(live, 1), self.step) - 1e-9) - 1)

    def to_merge(self, sizes: Sequence[Size]) -> list[int]:
        """The places of segments that are to become one, ascending; none if all may stay.

        The smallest tier that is full; else the segment with the largest share of deleted passages, if that
        is too large.
        """
        tiers: dict[int, list[int]] = {}
        for place, size in enumerate(sizes):
            tiers.setdefault(self.tier(size.live), []).append(place)
        for _, places in sorted(tiers.items()):
            if len(places) >= self.step:
                return places
        worst = max(range(len(sizes)), key=lambda i: sizes[i].share_deleted, default=None)
        if worst is None or sizes[worst].share_deleted <= self.most_deleted:
            return []
        return [worst]


@dataclass(frozen=True, slots=True)
class Size:
    """How many passages a segment has, and how many of them are deleted."""

    passages: int
    deleted: int = 0

    @property
    def live(self) -> int:
        """How many are not deleted."""
        return self.passages - self.deleted

    @property
    def share_deleted(self) -> float:
        """The share of deleted passages; 0 of none."""
        return self.deleted / self.passages if self.passages else 0.0
