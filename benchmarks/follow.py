"""``lurcher bench follow``: how long after a write is acknowledged another process finds it.

A copy of the bundle is written, one passage at a time, while another process follows it as a server does:
it looks every few milliseconds. The lag begins when the writer has committed, which is when a server replies,
and ends when the follower's searches would know the write.
"""

from __future__ import annotations

import sys
import time
from contextlib import closing
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Annotated

import numpy as np
import typer

from lurcher.benchmarks.copies import copy_of
from lurcher.errors import LurcherError
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.edit.follower import Follower
from lurcher.index_builder.edit.requests import Upsert
from lurcher.index_builder.edit.writer import Writer
from lurcher.retrieval.snapshot import Snapshot

_FOLLOW = "from lurcher.benchmarks.follow import follow; import sys; follow(*sys.argv[1:])"


def follow(path: str, milliseconds: str, count: str) -> None:
    """Print for each of ``count`` writes when searches know it, by the system's clock, and what that took."""
    follower = Follower.open(Path(path), check_hashes=False)
    answering = Snapshot(follower.reader(), 1)
    print("ready", flush=True)
    while follower.sequence < int(count):
        time.sleep(float(milliseconds) / 1_000)
        own = time.process_time()
        if follower.poll():
            before, answering = answering, answering.moved(follower.reader())
            before.close()
            spent = time.process_time() - own
            print(follower.sequence, time.monotonic(), spent, flush=True)
    answering.close()
    follower.abandon()


def main(
    bundle: Annotated[Path, typer.Argument(help="A bundle; it is copied and stays as it is.")],
    count: Annotated[int, typer.Option(min=1, help="Writes.")] = 200,
    follow_ms: Annotated[int, typer.Option(min=1, help="As the setting of this name.")] = 20,
) -> None:
    """Print the median and other quantiles of the lag, and the processor's time of following a write."""
    with copy_of(bundle) as copy:
        command = [sys.executable, "-c", _FOLLOW, str(copy), str(follow_ms), str(count)]
        with closing(Writer.open(copy, check_hashes=False)) as writer:
            texts = [one.text for one in writer.bundle.passages.get(range(min(count, 1_000)))]
            with Popen(command, stdout=PIPE, text=True) as other:
                assert other.stdout is not None  # noqa: S101 (a pipe)
                other.stdout.readline()
                acknowledged = np.zeros(count + 1)
                for number in range(1, count + 1):
                    text = f"{texts[number % len(texts)]} {number}"
                    (outcome,) = writer.commit([Upsert((Document(f"w{number}", text),))])
                    acknowledged[number] = time.monotonic()
                    if isinstance(outcome, LurcherError):
                        raise outcome
                told = [line.split() for line in other.stdout]
    lags, seen = [], 0
    for sequence, at, _ in told:
        lags += [float(at) - acknowledged[n] for n in range(seen + 1, int(sequence) + 1)]
        seen = int(sequence)
    p50, p95, p99 = 1e3 * np.quantile(np.maximum(lags, 0), [0.5, 0.95, 0.99])
    spent = 1e3 * np.median([float(one[2]) for one in told])
    print(f"lag of {len(lags)} writes: p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms")
    print(f"following one takes {spent:.1f} ms of the processor's time, in the median")
