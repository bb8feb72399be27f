"""``lurcher bench reader``: the time to read passages, beside a reader of question and passage together.

Both start from texts and end with spans: the reader from the question, whose lower states it makes, and from
its store; the yardstick (benchmarks.baselines.undecomposed, INT8 in ONNX Runtime) from nothing, as
all that it computes depends on the question. One question at a time, on as many threads; the two take turns
of a few questions, so that a machine that slows down slows both. What counts are the ratios.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from lurcher.benchmarks.baselines.undecomposed.graph import Yardstick, open_yardstick
from lurcher.benchmarks.baselines.undecomposed.scoring import LONGEST_ANSWER
from lurcher.benchmarks.timing import Way, ratio, take_turns
from lurcher.bundle.bundle import ENCODER, Bundle
from lurcher.errors import FieldError
from lurcher.evaluation.judgements import read_qrels, read_queries
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.reader.answers import LOOKED_AT
from lurcher.models.reader.spans import best_spans
from lurcher.retrieval.capabilities import NO_READER
from lurcher.retrieval.costs import CostModel
from lurcher.retrieval.passage_reader import PassageReader
from lurcher.retrieval.query import Candidates, Plan, Query, QueryFeatures, QueryState, ReadOptions
from lurcher.retrieval.stages.read import Read
from lurcher.threads import available_cpus

_DEPTHS = (5, 20)
_LENGTHS = (8, 16, 32)  # own tokens of a question
_READER, _YARDSTICK = "reader", "undecomposed, INT8"


def main(
    bundle: Annotated[Path, typer.Argument(help="A bundle with a reader.")],
    yardstick: Annotated[
        Path, typer.Option(help="What benchmarks.baselines.undecomposed exported.")
    ],
    queries: Annotated[Path, typer.Option(help="queries.jsonl.")],
    qrels: Annotated[Path, typer.Option(help="Whose queries to ask.")],
    limit: Annotated[int, typer.Option(min=1, help="Questions of each length.")] = 50,
    threads: Annotated[int | None, typer.Option(help="Cores for both; all.")] = None,
) -> None:
    """Print percentiles for 5 and 20 passages and questions of 8, 16 and 32 tokens, and their ratios."""
    console, cores = Console(width=120), threads or available_cpus()
    texts = read_queries(queries)
    query_texts = [texts[id_] for id_ in read_qrels(qrels) if id_ in texts][:limit]
    with (
        closing(Bundle.open(bundle)) as used,
        closing(open_yardstick(yardstick, cores)) as other,
    ):
        table = Table("passages", "question", "", "p50", "p95", "p99", f"times the {_READER}")
        for depth in _DEPTHS:
            for length in _LENGTHS:
                ways = _ways(used, other, query_texts, length, depth, cores)
                seconds = take_turns(ways, len(query_texts))
                for name, taken in seconds.items():
                    marks = np.percentile(list(taken.values()), [50, 95, 99])
                    shown = [f"{1_000 * mark:,.1f} ms" for mark in marks]
                    times = f"{ratio(taken, seconds[_READER]):,.2f}"
                    table.add_row(f"{depth}", f"{length} tokens", name, *shown, times)
        console.print(table)
    blas = os.environ.get("OMP_NUM_THREADS", "not set")
    console.print(f"{cores} cores; OMP_NUM_THREADS {blas}.", highlight=False)


def _ways(
    bundle: Bundle, yardstick: Yardstick, texts: Sequence[str], length: int, depth: int, threads: int
) -> dict[str, Way]:  # fmt: skip
    """Both ways to read what a search finds first for ``texts``, each made so many tokens long."""
    encoder = bundle.query_encoder(threads)
    side = Encoder.load(bundle.path / ENCODER, "passage", threads)
    reader, store, tokens = bundle.reader(threads), bundle.reading, bundle.tokens
    if reader is None or store is None or tokens is None:
        raise FieldError("bundle", NO_READER)
    stage = Read(
        encoder,
        PassageReader(reader, store, tokens.coder, bundle.passages, side),
        None,
        CostModel(),
    )
    query_texts = [_of_length(encoder, text, length) for text in texts]
    query_tokens = encoder.tokenise(query_texts)
    vectors = encoder.encode_tokens(query_tokens)
    scores, rows = bundle.vectors.search(vectors, depth)
    passages = []
    for found in rows.tolist():
        by_row = dict(zip(sorted(found), bundle.passages.get(sorted(found)), strict=True))
        passages.append([by_row[row] for row in found])
    plan = Plan(None, "off", ("dense",), depth, depth)
    states = [
        QueryState(
            Query(text, depth, read=ReadOptions()), plan, None, QueryFeatures(*features),
            candidates=Candidates(row, {"dense": score}), passages=tuple(own),
        )
        for text, features, row, score, own in zip(
            query_texts, zip(query_tokens, vectors, strict=True), rows, scores, passages, strict=True
        )
    ]  # fmt: skip

    def read(i: int) -> None:
        stage([states[i]])

    def undecomposed(i: int) -> None:
        logits = yardstick(yardstick.pairs(query_texts[i], [one.content for one in passages[i]]))
        counts = np.array([len(one) for one in logits])
        bonus = np.zeros(len(logits), np.float32)
        best_spans(np.concatenate(logits), counts, bonus, LONGEST_ANSWER, LOOKED_AT)

    return {_READER: Way(read), _YARDSTICK: Way(undecomposed)}


def _of_length(encoder: Encoder, text: str, length: int) -> str:
    """``text``, said again or cut so that it has about so many tokens of its own."""
    while len(spans := encoder.own_spans(text)) < length:
        text = f"{text} {text}"
    return text[: spans[length - 1][1]]
