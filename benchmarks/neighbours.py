"""``lurcher bench neighbours``: what known queries cost a search.

The stages `retrieve` and `fuse` alone, one query at a time, every mode in turn on the same few queries, so
that a machine that slows down slows all, and each finds its own index in the caches, as a server would. To
see it at another size, the bundle's vectors are filled up to PASSAGES with real ones turned a little at
random: they cost what real ones do, and nothing is found by them.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.index_building import build_index, default_factory
from lurcher.bundle.vectors import VectorIndex, Vectors, write_index
from lurcher.errors import LurcherError
from lurcher.evaluation.judgements import read_queries
from lurcher.feedback.online import Change
from lurcher.models.neighbours.adapted import unit
from lurcher.retrieval.query import NeighbourMode, Query
from lurcher.retrieval.snapshot import Snapshot

_MODES: tuple[NeighbourMode, ...] = ("off", "adapted", "voting")
_STAGES = ("retrieve", "fuse")
_IN_TURN = 25
_TURN = 0.3  # length of what is added to a vector of length 1


def main(
    bundle: Annotated[Path, typer.Argument(help="A bundle with known queries.")],
    queries: Annotated[Path, typer.Option(help="queries.jsonl to ask with.")],
    passages: Annotated[int | None, typer.Option(help="Fill up to so many.")] = None,
    limit: Annotated[int, typer.Option(help="Queries to time.")] = 1_000,
    threads: Annotated[int, typer.Option(help="FAISS's threads.")] = 1,
) -> None:
    """Print percentiles of retrieval by mode, and their ratios to plain search."""
    with closing(Bundle.open(bundle)) as opened, tempfile.TemporaryDirectory() as scratch:
        texts = list(read_queries(queries).values())
        some = np.random.default_rng(0).permutation(len(texts))[: limit + 50]
        query_texts = [texts[i] for i in some]
        used = opened if passages is None else _filled(opened, passages, Path(scratch))
        plain, learning = Snapshot(used, threads), Snapshot(used, threads)
        (first_passage,) = used.passages.get([0])
        learning.learn([Change("what nobody searched for before", first_passage.id, 1.0)])
        ways: dict[str, tuple[Snapshot, NeighbourMode]] = {mode: (plain, mode) for mode in _MODES}
        ways |= {f"{mode}, one learnt online": (learning, mode) for mode in ("adapted", "voting")}
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        for first in range(0, len(query_texts), _IN_TURN):
            for way, (snapshot, mode) in ways.items():
                for text in query_texts[first : first + _IN_TURN]:
                    query = Query(text, neighbours=mode, rank="off", retrieve="dense")
                    (result,) = snapshot.run([query])
                    if isinstance(result, LurcherError):
                        raise result
                    seconds[way].append(
                        sum(s for stage, s in result.seconds.items() if stage.startswith(_STAGES))
                    )
        known = used.neighbours.queries.count if used.neighbours else 0
        title = f"{used.vectors.count:,} passages, {known:,} known queries"
        table = Table("retrieve and fuse", "p50", "p95", "p99", "ratio of medians", title=title)
        bare = np.median(seconds["off"][50:])
        for way in ways:
            taken = np.array(seconds[way][50:])  # the first ones warm the caches
            marks = [f"{1_000 * value:.3f} ms" for value in np.percentile(taken, [50, 95, 99])]
            table.add_row(way, *marks, f"{np.median(taken) / bare:.2f}")
        Console(width=120).print(table)


def _filled(bundle: Bundle, passages: int, scratch: Path) -> Bundle:
    """``bundle`` with more vectors, plain and adapted, in the index that so many are given."""
    assert bundle.neighbours is not None  # noqa: S101 (stated in the argument's help)
    plain = bundle.vectors.stored()[0 : bundle.vectors.count]
    known = bundle.neighbours
    adapted = known.files.adapted.stored()[0 : len(plain)]
    generator = np.random.default_rng(0)
    missing = passages - len(plain)
    noise = generator.standard_normal((missing, plain.shape[1]), np.float32)
    more = unit(plain[generator.integers(0, len(plain), missing)] + _TURN * unit(noise))
    return replace(
        bundle,
        index=_indexed(np.concatenate([plain, more]), scratch / "plain"),
        neighbours=replace(
            known,
            files=replace(
                known.files,
                adapted=_indexed(np.concatenate([adapted, more]), scratch / "adapted"),
            ),
        ),
    )


def _indexed(vectors: Vectors, file: Path) -> VectorIndex:
    write_index(build_index(vectors, default_factory(len(vectors)), 0, lambda _: None), file)
    return VectorIndex.open(file, 64)
