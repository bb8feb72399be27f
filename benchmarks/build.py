"""``lurcher bench build CORPUS``: whole builds beside sentence-transformers that only encodes.

The corpus is taken in slices. Of each slice a bundle is built, from reading to hashing, and its
passages are encoded by sentence-transformers at its defaults, in turn and each going first in every
other slice. Loading the original is not counted; everything that a build does is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from lurcher.benchmarks.encoder import original_encoder
from lurcher.index_builder.build import build
from lurcher.index_builder.corpus import read_corpus
from lurcher.index_builder.split import Splitter
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.pretrained import DEFAULT_ENCODER


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main(
    corpus: Annotated[Path, typer.Argument(help="Any corpus that `lurcher build` reads.")],
    slices: Annotated[int, typer.Option(min=1, help="How many slices are timed.")] = 5,
    size: Annotated[int, typer.Option(min=1, help="Passages a slice.")] = 1_000,
) -> None:
    """Print the passages per second of both, and the ratio."""
    documents = [r.document for r in islice(read_corpus(corpus), slices * size) if r.document]
    split = Splitter(Encoder.load(DEFAULT_ENCODER, "passage", 1)).split(documents)
    passages = [passage for part in split for passage in part][: slices * size]
    original = original_encoder()
    ours, theirs = [], []
    with TemporaryDirectory() as name:
        for turn, rows in enumerate(np.array_split(np.arange(len(passages)), slices)):
            part = [passages[row] for row in rows]
            source, out = Path(name, f"{turn}.jsonl"), Path(name, f"{turn}.lurcher")
            lines = (json.dumps({"id": p.id, "title": p.heading, "text": p.text}) for p in part)
            source.write_text("\n".join(lines), encoding="utf-8")
            texts = [p.content for p in part]

            def ours_once(source: Path = source, out: Path = out) -> None:
                ours.append(_seconds(lambda: build(source, out)))

            def theirs_once(texts: list[str] = texts) -> None:
                theirs.append(_seconds(lambda: original.encode(texts)))

            for run in (ours_once, theirs_once)[:: 1 if turn % 2 else -1]:
                run()
    console = Console()
    for label, seconds in (("lurcher build", ours), ("sentence-transformers encode", theirs)):
        rate = len(passages) / sum(seconds)
        console.print(f"{label:<30} {sum(seconds):7.1f} s {rate:7.1f} passages/s", highlight=False)
    ratios = np.array(theirs) / np.array(ours)
    console.print(
        f"ratio {sum(theirs) / sum(ours):.2f} (slices {ratios.min():.2f} to {ratios.max():.2f})",
        highlight=False,
    )


if __name__ == "__main__":
    typer.run(main)
