"""Postings of many passages in little memory: sorted runs on disk, merged term by term.

A run holds the postings of as many passages as have about ``RUN_POSTINGS`` together, in the order of their
terms. In memory are one run, the lengths of all passages, and of the merge a few megabytes: at most 200 MB
beside four bytes a passage, whatever the corpus.
"""

from __future__ import annotations

import heapq
from array import array
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lurcher.bundle.lexical_files import LexicalWriter
from lurcher.models.lexical.analyser import Terms
from lurcher.models.lexical.bm25 import Counts, Floats, saturation_steps

RUN_POSTINGS = 2_000_000
# Postings that the merge writes at once, and terms of a run that it reads at once.
MERGED_AT_ONCE, _READ_AT_ONCE = 500_000, 4_096

AnyArray = npt.NDArray[Any]


def term_counts(text: Terms, heading: Terms, title_weight: float) -> tuple[dict[str, float], float]:
    """How often a passage has each of its terms, and how many words it has; its heading counts weighted."""
    counts: dict[str, float] = dict(Counter(text.words + text.extra))
    for term in heading.words + heading.extra:
        counts[term] = counts.get(term, 0.0) + title_weight
    return counts, len(text.words) + title_weight * len(heading.words)


class PostingsOf:
    """Collects the postings of passages in memory."""

    def __init__(self, title_weight: float) -> None:
        self._title_weight = title_weight
        self.lengths = array("f")
        self.clear()

    def clear(self) -> None:
        """Forget all but the passages' lengths: the next has the next row."""
        self._numbers: dict[str, int] = {}
        self._terms, self._rows, self._tf = array("I"), array("I"), array("f")

    def __len__(self) -> int:
        """How many postings there are."""
        return len(self._terms)

    def add(self, text: Terms, heading: Terms) -> None:
        """Add the next passage."""
        counts, length = term_counts(text, heading, self._title_weight)
        numbers = self._numbers
        self._terms.extend(numbers.setdefault(term, len(numbers)) for term in counts)
        self._rows.extend([len(self.lengths)] * len(counts))
        self._tf.extend(counts.values())
        self.lengths.append(length)

    def sorted(self) -> tuple[list[bytes], Counts, AnyArray, AnyArray]:
        """The terms (t) in the order of their bytes, how many rows each has, (t,), then rows and tf, (n,)."""
        encoded = [term.encode() for term in self._numbers]
        order = sorted(range(len(encoded)), key=encoded.__getitem__)
        ranks = np.empty(len(order), np.uint32)
        ranks[order] = np.arange(len(order), dtype=np.uint32)
        by_term = ranks[np.frombuffer(self._terms, np.uint32)]
        places = np.argsort(by_term, kind="stable")  # rows stay ascending
        rows = np.frombuffer(self._rows, np.uint32)[places]
        tf = np.frombuffer(self._tf, np.float32)[places]
        counts = np.bincount(by_term, minlength=len(order))
        return [encoded[one] for one in order], counts, rows, tf


class RunWriter:
    """Collects the postings of passages and writes them in runs to a folder."""

    def __init__(self, folder: Path, title_weight: float, run_postings: int = RUN_POSTINGS) -> None:
        """Write to ``folder``, which is empty."""
        self._folder, self._most = folder, run_postings
        self._collected = PostingsOf(title_weight)
        self.runs = 0

    @property
    def lengths(self) -> array[float]:
        """The length of every passage so far, in words."""
        return self._collected.lengths

    def add(self, text: Terms, heading: Terms) -> None:
        """Add the next passage."""
        self._collected.add(text, heading)
        if len(self._collected) >= self._most:
            self.flush()

    def flush(self) -> None:
        """Write what is collected, as one run."""
        if not len(self._collected):
            return
        terms, counts, rows, tf = self._collected.sorted()
        columns = {
            "letters": np.frombuffer(b"".join(terms), np.uint8),
            "ends": np.cumsum([len(term) for term in terms]),
            "counts": counts,
            "rows": rows,
            "tf": tf,
        }
        for name, column in columns.items():
            np.save(_file(self._folder, self.runs, name), column)
        self.runs += 1
        self._collected.clear()


def merge_runs(
    folder: Path, runs: int, norms: Floats, writer: LexicalWriter, at_once: int = MERGED_AT_ONCE
) -> None:
    """Append all terms of the first ``runs`` runs in ``folder`` to ``writer``.

    ``norms`` (n,) are the passages' (``length_norms``). About ``at_once`` postings are written at a time.
    """
    read = [_Run(folder, run) for run in range(runs)]
    streams = [run.terms(number) for number, run in enumerate(read)]
    terms: list[bytes] = []
    counts: list[int] = []
    rows: list[AnyArray] = []
    tf: list[AnyArray] = []
    held = 0

    def write() -> None:
        flat, found = np.concatenate(rows), np.concatenate(tf)
        steps = saturation_steps(found, norms[flat])
        writer.append(terms, np.array(counts, np.int64), flat, steps)

    for term, parts in groupby(heapq.merge(*streams), key=itemgetter(0)):
        before = held
        for _, number, first, end in parts:  # in the order of the runs, which is that of the rows
            rows.append(read[number].rows[first:end])
            tf.append(read[number].tf[first:end])
            held += end - first
        terms.append(term)
        counts.append(held - before)
        if held >= at_once:
            write()
            for collected in (terms, counts, rows, tf):
                collected.clear()
            held = 0
    if terms:
        write()


class _Run:
    """A run on disk: its postings, memory-mapped."""

    def __init__(self, folder: Path, number: int) -> None:
        self._folder, self._number = folder, number
        self.rows, self.tf = (self._map(name) for name in ("rows", "tf"))

    def _map(self, name: str) -> AnyArray:
        found = np.load(_file(self._folder, self._number, name), mmap_mode="r")
        return np.asarray(found).view(np.ndarray)

    def terms(self, number: int) -> Iterator[tuple[bytes, int, int, int]]:
        """Each term, ``number``, and where its postings begin and end."""
        letters, ends, counts = (self._map(name) for name in ("letters", "ends", "counts"))
        first = begin = 0
        for start in range(0, len(ends), _READ_AT_ONCE):
            part = slice(start, start + _READ_AT_ONCE)
            for end, count in zip(ends[part].tolist(), counts[part].tolist(), strict=True):
                yield letters[first:end].tobytes(), number, begin, begin + count
                first, begin = end, begin + count


def _file(folder: Path, run: int, name: str) -> Path:
    return folder / f"{run}.{name}.npy"
