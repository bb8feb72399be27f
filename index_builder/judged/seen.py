"""Which texts came by before, of more than a Python set could hold in memory."""

from __future__ import annotations

from bisect import bisect_left
from hashlib import blake2b

import numpy as np

_RECENT = 65_536


class Seen:
    """A set that knows texts by 8 bytes of their hash.

    It needs some 20 bytes a text; a set of Python numbers takes five times as many. Of ten million
    different texts, two are taken for the same with a chance of 3 in a million.
    """

    def __init__(self, recent: int = _RECENT) -> None:
        self._least = recent
        self._recent: set[int] = set()
        self._settled = np.empty(0, np.uint64).data  # ascending; items are Python's numbers

    def add(self, text: str) -> bool:
        """Take note of ``text``; whether it is new."""
        hashed = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
        if hashed in self._recent or self._has_settled(hashed):
            return False
        self._recent.add(hashed)
        # In proportion, so that all the sorting together stays a small part of the work.
        if len(self._recent) >= max(self._least, len(self._settled) // 16):
            self._settle()
        return True

    def _has_settled(self, hashed: int) -> bool:
        place = bisect_left(self._settled, hashed)
        return place < len(self._settled) and self._settled[place] == hashed

    def _settle(self) -> None:
        recent = np.fromiter(self._recent, np.uint64, len(self._recent))
        settled = np.concatenate([np.asarray(self._settled), recent])
        settled.sort(kind="stable")  # a timsort: what is sorted already is one run
        self._settled = settled.data
        self._recent.clear()
