"""Which passages have the same text, or nearly: MinHash (Broder 1997) over runs of three words.

Two texts count as the same where at least 56 of 64 hash functions have their minimum in common, which
estimates that they share seven eighths of their runs: of a hundred words, one or two differ. Candidates are
found by locality-sensitive hashing, eight bands of eight functions of which one has to agree. That finds
equal texts always, and 99 of 100 that share nine tenths of their runs.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from lurcher.bundle.copies import WORD
from lurcher.bundle.passages import Rows

Signature = npt.NDArray[np.uint32]  # (64,)

_FUNCTIONS, _BANDS, _AGREE = 64, 8, 56
# A text like no other before it is compared with so many texts of its band, so that time stays linear.
_COMPARED = 16
_RUNS_AT_ONCE = 10_000  # 10 MB of hash values

_random = np.random.default_rng(0)
_FACTORS = _random.integers(1, 2**63, _FUNCTIONS, np.uint64) | np.uint64(1)
_TERMS = _random.integers(0, 2**63, _FUNCTIONS, np.uint64)
_PLACES = _random.integers(1, 2**63, 3, np.uint64) | np.uint64(1)


def first_alike(texts: Iterable[str]) -> Rows:
    """For each text the number of the first that is nearly the same, (n,) int64; its own, where none is.

    Case, white space and punctuation do not count. A text without words is like none but itself.
    """
    firsts: list[int] = []
    buckets: dict[bytes, list[int]] = {}
    signatures: dict[int, Signature] = {}
    for number, text in enumerate(texts):
        signature = minhash(text)
        if signature is None:
            firsts.append(number)
            continue
        bands = [
            i.to_bytes() + band.tobytes() for i, band in enumerate(np.split(signature, _BANDS))
        ]
        near = sorted({first for band in bands for first in buckets.get(band, ())})
        alike = (first for first in near if np.sum(signatures[first] == signature) >= _AGREE)
        first = next(alike, number)
        firsts.append(first)
        if first == number:
            signatures[number] = signature
            for band in bands:
                bucket = buckets.setdefault(band, [])
                if len(bucket) < _COMPARED:
                    bucket.append(number)
    return np.array(firsts, np.int64)


def minhash(text: str) -> Signature | None:
    """The least of each hash function's values over the runs of words in ``text``; None if it has no word."""
    words = np.array(
        [zlib.crc32(word.encode()) for word in WORD.findall(text.casefold())], np.uint64
    )
    if not len(words):
        return None
    if len(words) < len(_PLACES):
        words = np.pad(words, (0, len(_PLACES) - len(words)))
    runs = (
        np.lib.stride_tricks.sliding_window_view(words, len(_PLACES)) @ _PLACES
    )  # (m,) modulo 2^64
    runs = np.unique(runs)
    least = np.full(_FUNCTIONS, np.iinfo(np.uint32).max, np.uint32)
    for start in range(0, len(runs), _RUNS_AT_ONCE):
        values = runs[start : start + _RUNS_AT_ONCE, None] * _FACTORS + _TERMS
        least = np.minimum(least, (values >> np.uint64(32)).astype(np.uint32).min(axis=0))
    return least
