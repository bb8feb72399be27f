"""Passages of a text: as many units as fit, cut at the best boundary near the end, with overlap."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from lurcher.index_builder.split.breaks import Level, Levels
from lurcher.index_builder.split.units import Units

# How full a passage has to be to end at such a boundary; the first kind that there is one of is taken.
_FULL_ENOUGH = (
    (Level.PARAGRAPH, 0.7), (Level.SENTENCE, 0.8), (Level.LINE, 0.85), (Level.WORD, 0.0)
)  # fmt: skip

# A passage ends with its section if it is that full; if not, it goes on with the next section.
SECTION_FULL = 0.25


class Filler:
    """Fills passages with the units of one text.

    ``window`` gives the most tokens of a passage that starts with a unit. Neighbours share at most
    ``overlap`` tokens, and none where a section ends. ``blocks`` (units, ascending) stay whole where they
    fit. A passage has at most ``most_chars`` characters, or is one unit.
    """

    def __init__(
        self, units: Units, levels: Levels, blocks: Sequence[tuple[int, int]],
        window: Callable[[int], int], overlap: int, most_chars: int,
    ) -> None:  # fmt: skip
        self._before, self._starts, self._count = units.before, units.starts, units.size
        self._window, self._overlap, self._most_chars = window, overlap, most_chars
        self._levels = levels.copy()
        self._blocks = [(a, b) for a, b in blocks if a < b and self._cost(a, b) <= window(a)]
        for a, b in self._blocks:
            self._levels[a + 1 : b] = Level.NOTHING
        self._block_starts = np.array([a for a, _ in self._blocks], np.int64)

    def passages(self) -> Iterator[tuple[int, int]]:
        """First unit, and the one after the last, of each passage, in order.

        Every unit is in one at least. Takes time that is linear in the number of units.
        """
        first = done = 0  # ``done``: the units before it are in a passage already
        while first < self._count:
            end = self._end(first, done)
            yield first, end
            first, done = (self._next(first, end), end) if end < self._count else (end, end)

    def _cost(self, first: int, end: int) -> int:
        return int(self._before[end] - self._before[first])

    def _up_to(self, first: int, tokens: int) -> int:
        """The last boundary with at most ``tokens`` between it and ``first``."""
        return int(np.searchsorted(self._before, self._before[first] + tokens, "right")) - 1

    def _from(self, end: int, tokens: int) -> int:
        """The first boundary with at most ``tokens`` between it and ``end``."""
        return int(np.searchsorted(self._before, self._before[end] - tokens))

    def _last(self, first: int, end: int, level: Level) -> int | None:
        """The last boundary from ``first`` to ``end`` of at least ``level``."""
        found = np.flatnonzero(self._levels[first : end + 1] >= level)
        return first + int(found[-1]) if len(found) else None

    def _first(self, first: int, end: int, level: Level) -> int | None:
        """The first boundary from ``first`` to ``end`` of at least ``level``."""
        found = np.flatnonzero(self._levels[first : end + 1] >= level)
        return first + int(found[0]) if len(found) else None

    def _end(self, first: int, done: int) -> int:
        """Where the passage that starts with unit ``first`` ends: after ``done``."""
        room = self._window(first)
        by_chars = int(
            np.searchsorted(self._starts, self._starts[first] + self._most_chars, "right")
        )
        full = min(self._up_to(first, room), by_chars - 1)
        full = min(max(full, done + 1), self._count)
        block = self._block_around(full)
        if block and max(first, done) < block[0]:
            full = block[0]
        enough = max(done + 1, self._past(first, SECTION_FULL * room))
        section = self._first(enough, full, Level.SECTION)
        rest = self._cost(section, self._count) if section is not None else 0
        # A short last section stays with the one before.
        if section is not None and (full < self._count or rest >= SECTION_FULL * room):
            return section
        if full == self._count:
            return full
        for level, share in _FULL_ENOUGH:
            found = self._last(max(done + 1, self._past(first, share * room)), full, level)
            if found is not None:
                return found
        return full

    def _past(self, first: int, tokens: float) -> int:
        """The first boundary with at least ``tokens`` between ``first`` and it."""
        # An integer: for a float NumPy would copy the whole array, in every call.
        return int(np.searchsorted(self._before, self._before[first] + math.ceil(tokens)))

    def _block_around(self, boundary: int) -> tuple[int, int] | None:
        """The block that ``boundary`` lies inside of."""
        place = int(np.searchsorted(self._block_starts, boundary)) - 1
        if place >= 0 and boundary < self._blocks[place][1]:
            return self._blocks[place]
        return None

    def _next(self, first: int, end: int) -> int:
        """The first unit of the passage after the one from ``first`` to ``end``."""
        if self._levels[end] == Level.SECTION:
            return end
        following = end + 1
        place = int(np.searchsorted(self._block_starts, end))
        if place < len(self._blocks) and self._blocks[place][0] == end:
            following = self._blocks[place][1]
        # What comes next has to fit beside what is shared.
        shared = min(self._overlap, self._window(end) - self._cost(end, following))
        start = max(first + 1, self._from(end, max(shared, 0)))
        section = self._last(start, end - 1, Level.SECTION)
        if section is not None:  # nothing is shared across a section's end
            start = section
        if start >= end:
            return end
        for level in (Level.SENTENCE, Level.WORD):
            found = self._first(start, end - 1, level)
            if found is not None:
                return found
        return end if self._block_around(start) else start
