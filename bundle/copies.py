"""Which passages have nearly the same text as an earlier one: two files.

::

    copies.npy    (n,) int64, by row: the row of the first passage with nearly the same text, or its own
    alike.npy     (n,) uint64, by row: a key of the text's words, 0 if it has none, by which the same text is
                  found in other segments. Segments that were built before format 5 have no such file
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lurcher.bundle.arrays import read_array
from lurcher.bundle.passages import Rows
from lurcher.errors import BundleCorrupt
from lurcher.text import UNSPACED

Keys = npt.NDArray[np.uint64]

# A word; in scripts without blanks between words, a character.
WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")


def words_key(text: str) -> int:
    """A key of 64 bits that texts of the same words have in common; 0 for a text without words.

    Case, white space and punctuation do not count.
    """
    words = WORD.findall(text.casefold())
    if not words:
        return 0
    digest = blake2b("\0".join(words).encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) or 1


def write_keys(bundle: Path, name: str, keys: Iterable[int]) -> None:
    """Write the ``keys`` of all passages, in order, as the file ``name`` of ``bundle``."""
    np.save(bundle / name, np.fromiter(keys, np.uint64))


def read_keys(bundle: Path, name: str, passages: int) -> Keys:
    """What the file ``name`` of ``bundle`` says of so many ``passages``, (n,). Raises BundleCorrupt."""
    return read_array(bundle, name, np.uint64, (passages,))


def write_copies(bundle: Path, name: str, first: Rows) -> None:
    """Write ``first`` (n,) as the file ``name`` of ``bundle``."""
    np.save(bundle / name, first)


def read_copies(bundle: Path, name: str, passages: int) -> Rows | None:
    """What the file ``name`` of ``bundle`` says of so many ``passages``, (n,); None if no two are alike.

    Raises BundleCorrupt.
    """
    first: Rows = read_array(bundle, name, np.int64, (passages,))
    own = np.arange(passages)
    if (first < 0).any() or (first > own).any() or (first[first] != first).any():
        raise BundleCorrupt(bundle, name, "names rows that are not the first of their kind")
    return None if (first == own).all() else first
