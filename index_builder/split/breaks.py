"""How good a place each boundary between units is to cut a text at."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from lurcher.index_builder.split.units import Ints, Units
from lurcher.text import sentence_ends

Levels = npt.NDArray[np.uint8]

_BLANKS = np.array([c for c in range(0x3001) if chr(c).isspace()], np.uint32)
_NEWLINE = 10


class Level(IntEnum):
    """What ends at a boundary."""

    NOTHING = 0
    WORD = 1
    LINE = 2
    SENTENCE = 3
    PARAGRAPH = 4
    SECTION = 5


def levels_of(text: str, units: Units, sections: Sequence[int]) -> Levels:
    """The ``Level`` of the boundary before each unit, and after the last, (n + 1,); linear.

    ``sections`` are where sections start.
    """
    starts = units.starts[:-1]
    levels = np.zeros(units.size + 1, np.uint8)
    if not units.size:
        return levels
    signs = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    blank = np.isin(signs, _BLANKS)
    places = np.arange(len(text))
    # The last sign before each place, itself included, that is not blank; -1 if there is none.
    seen = np.maximum.accumulate(np.where(blank, -1, places))
    newlines = np.cumsum(signs == _NEWLINE)
    # A tokeniser may count the blank before a word as the word's.
    word = _first_not_blank(blank, places)[starts]
    before = seen[np.maximum(starts - 1, 0)]
    inside = np.minimum(word, len(text) - 1)
    lines = newlines[inside] - newlines[np.maximum(before, 0)]
    levels[:-1][(word - before > 1)] = Level.WORD
    levels[:-1][(lines >= 1)] = Level.LINE
    ends = np.fromiter(sentence_ends(text), np.int64)
    _raise_to(levels, np.searchsorted(starts, ends), Level.SENTENCE)
    levels[:-1][(lines >= 2)] = Level.PARAGRAPH
    _raise_to(levels, np.searchsorted(starts, np.array(sections, np.int64)), Level.SECTION)
    return levels


def _first_not_blank(blank: npt.NDArray[np.bool_], places: Ints) -> Ints:
    """The first place at or after each that is not blank; the text's length if there is none."""
    size = len(blank)
    return np.minimum.accumulate(np.where(blank, size, places)[::-1])[::-1]


def _raise_to(levels: Levels, boundaries: Ints, level: Level) -> None:
    levels[boundaries] = np.maximum(levels[boundaries], level)
