"""Which passages have nearly the same text as an earlier one: one file.

::

    copies.npy    (n,) int64, by row: the row of the first passage with nearly the same text, or its own
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lurcher.bundle.passages import Rows
from lurcher.errors import BundleCorrupt


def write_copies(bundle: Path, name: str, first: Rows) -> None:
    """Write ``first`` (n,) as the file ``name`` of ``bundle``."""
    np.save(bundle / name, first)


def read_copies(bundle: Path, name: str, passages: int) -> Rows | None:
    """What the file ``name`` of ``bundle`` says of so many ``passages``, (n,); None if no two are alike.

    Raises BundleCorrupt.
    """
    try:
        first: Rows = np.load(bundle / name, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BundleCorrupt(bundle, name, str(error)) from error
    own = np.arange(passages)
    if first.dtype != np.int64 or first.shape != own.shape:
        reason = f"has {first.dtype} {first.shape}, expected int64 {own.shape}"
        raise BundleCorrupt(bundle, name, reason)
    if (first < 0).any() or (first > own).any() or (first[first] != first).any():
        raise BundleCorrupt(bundle, name, "names rows that are not the first of their kind")
    return None if (first == own).all() else first
