"""Passages with nearly the same text as one: the first of each that may be found stands for the others."""

from __future__ import annotations

import numpy as np

from lurcher.bundle.passages import Rows


def folded(first: Rows, allow: Rows | None) -> tuple[Rows, Rows]:
    """The rows (k,) that stand for all passages, ascending, and how many each stands for, itself included.

    ``first`` (n,) is the row of the first passage with nearly the same text, by row; ``allow`` are the rows
    that may be found, ascending, None: all.
    """
    rows = np.arange(len(first)) if allow is None else allow
    _, places, counts = np.unique(first[rows], return_index=True, return_counts=True)
    order = np.argsort(places)
    return rows[places[order]], counts[order]
