"""A text as units: the smallest pieces that it may be cut into, and what each costs in tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

# Offsets of a text's tokens, for a list of texts.
Spans = Callable[[Sequence[str]], list[list[tuple[int, int]]]]

# Characters tokenised at a time, and texts of so many. A tokeniser's work on a chunk is linear in practice;
# the second number bounds the memory that its offsets take (some 100 bytes a token).
CHUNK, CHUNKS = 16_384, 64

# A token that stands for more characters than this is a word that the tokeniser gave up on. It is cut into
# pieces of STEP characters that count as COST tokens each, about what text takes that it does know.
LONGEST, STEP, COST = 40, 32, 8


class Units(NamedTuple):
    """Unit k is ``text[starts[k]:starts[k + 1]]``: one token or more, and what no token stands for.

    starts   (n + 1,) ascending, from 0 to the text's length; n is 0 only for an empty text
    before   (n + 1,) tokens before each unit; ascending, not always strictly
    """

    starts: Ints
    before: Ints

    @property
    def size(self) -> int:
        """How many units there are."""
        return len(self.starts) - 1


def units_of(text: str, spans: Spans) -> Units:
    """The units of ``text``; together they are all of it, whatever the tokeniser leaves out.

    Linear in the length of ``text``.
    """
    starts, ends = _tokens(text, spans)
    there = ends > starts
    starts, ends = starts[there], ends[there]
    if not len(starts):
        starts, ends = np.zeros(1, np.int64), np.zeros(1, np.int64)
    # Tokens of parts of one character, or of what was one before it was normalised, share their start.
    starts = np.maximum.accumulate(starts)
    first = np.flatnonzero(np.diff(starts, prepend=-1))
    costs = np.diff(first, append=len(starts))
    starts, ends = starts[first], np.maximum.reduceat(ends, first)
    starts[0] = 0
    starts, costs = _cut_long(text, starts, ends, costs)
    starts = np.append(starts, len(text)) if text else np.zeros(1, np.int64)
    costs = costs if text else costs[:0]
    return Units(starts, np.concatenate([[0], np.cumsum(costs)]).astype(np.int64))


def chunks(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of parts of about ``CHUNK`` characters, cut at line ends or blanks if there are any."""
    start = 0
    while start < len(text):
        end = start + CHUNK
        if end < len(text):
            cuts = (text.rfind(blank, start + CHUNK // 2, end) for blank in ("\n", " "))
            end = next((cut + 1 for cut in cuts if cut > 0), end)
        yield start, min(end, len(text))
        start = end


def _tokens(text: str, spans: Spans) -> tuple[Ints, Ints]:
    """Starts and ends (n,) of the tokens of ``text``."""
    parts = list(chunks(text))
    found = [np.zeros((0, 2), np.int64)]
    for first in range(0, len(parts), CHUNKS):
        some = parts[first : first + CHUNKS]
        for (start, _), own in zip(some, spans([text[s:e] for s, e in some]), strict=True):
            flat = np.fromiter(chain.from_iterable(own), np.int64, 2 * len(own))
            found.append(flat.reshape(-1, 2) + start)
    both = np.concatenate(found)
    return both[:, 0], both[:, 1]


def _cut_long(text: str, starts: Ints, ends: Ints, costs: Ints) -> tuple[Ints, Ints]:
    """Starts and costs with units of more than ``LONGEST`` characters cut, unless they end in blanks only."""
    after = np.append(starts[1:], len(text))
    long = np.flatnonzero(after - starts > LONGEST)
    if not len(long):
        return starts, costs
    new_starts, new_costs, last = [], [], 0
    for unit in long.tolist():
        start, end = int(starts[unit]), int(after[unit])
        if not text[max(start, int(ends[unit])) : end].strip():
            end = max(start, int(ends[unit]))
        if end - start <= LONGEST:
            continue
        pieces = np.arange(start, end, STEP)
        new_starts += [starts[last:unit], pieces]
        new_costs += [costs[last:unit], np.full(len(pieces), COST)]
        last = unit + 1
    return np.concatenate([*new_starts, starts[last:]]), np.concatenate([*new_costs, costs[last:]])
