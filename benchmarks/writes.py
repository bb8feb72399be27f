"""``lurcher bench writes``: how long until a write is on the disk and the next search knows it.

A copy of the bundle is written, one passage at a time: its own passages with a number added to their texts.
Each time has two figures: by the clock, which has the disk in it and whatever else runs on the machine, and
by the processor's time.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from time import perf_counter, process_time
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from lurcher.benchmarks.copies import copy_of
from lurcher.errors import LurcherError
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.edit.requests import Delete, Patch, Request, Upsert
from lurcher.index_builder.edit.writer import Writer
from lurcher.retrieval.snapshot import Snapshot


def main(
    bundle: Annotated[Path, typer.Argument(help="A bundle; it is copied and stays as it is.")],
    count: Annotated[int, typer.Option(min=1, help="Writes of each kind.")] = 50,
    threads: Annotated[int, typer.Option(min=1, help="Threads that encode.")] = 1,
) -> None:
    """Print medians and ninth deciles of an upsert, a change of metadata and a delete."""
    with copy_of(bundle) as copy:
        with closing(Writer.open(copy, threads=threads, check_hashes=False)) as writer:
            timed = _Timed(writer)
            rows = writer.bundle.passages.rows(())[: 2 * count + 1].tolist()
            first, *passages = writer.bundle.passages.get(rows)
            timed.all([Upsert((Document("warm", first.text),))])  # loads the encoder
            texts = [passage.text for passage in passages]
            some = range(min(count, len(texts)))
            table = Table("write", "clock, median", "9 of 10", "processor, median", "9 of 10")
            ways: dict[str, list[Request]] = {
                "upsert": [Upsert((Document(f"w{i}", f"{texts[i]} {i}"),)) for i in some],
                "patch": [Patch({f"w{i}": {"number": i}}) for i in some],
                "delete": [Delete((f"w{i}",)) for i in some],
                "delete, of the build": [Delete((passages[-i - 1].id,)) for i in some],
            }
            for name, requests in ways.items():
                seconds = timed.all(requests)  # (n, 2)
                table.add_row(
                    name,
                    *(
                        f"{1e3 * np.quantile(one, at):.1f} ms"
                        for one in seconds.T
                        for at in (0.5, 0.9)
                    ),
                )
            timed.close()
        Console(width=120).print(table)


class _Timed:
    """Makes writes, and searches know them."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._snapshot = Snapshot(writer.reader(), 1)

    def all(self, requests: Iterable[Request]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        """Seconds of each of ``requests`` by the clock and by the processor's time, (n, 2)."""
        seconds = []
        for request in requests:
            clock, own = perf_counter(), process_time()
            (outcome,) = self._writer.commit([request])
            if isinstance(outcome, LurcherError):
                raise outcome
            before, self._snapshot = self._snapshot, self._snapshot.moved(self._writer.reader())
            before.close()
            seconds.append((perf_counter() - clock, process_time() - own))
        return np.array(seconds)

    def close(self) -> None:
        """Close the snapshot."""
        self._snapshot.close()
