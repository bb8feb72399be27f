"""The commands ``train``, ``score`` and ``time``."""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console

import lurcher.benchmarks.baselines.cross_encoder
from lurcher.benchmarks.baselines.cross_encoder.graph import GRAPH, Scorer, export
from lurcher.benchmarks.baselines.cross_encoder.model import load, score_torch, start
from lurcher.benchmarks.baselines.cross_encoder.rank import (
    FOUND,
    candidate_pairs,
    check_ranks,
    rerank,
)
from lurcher.benchmarks.baselines.cross_encoder.speed import time_pairs
from lurcher.benchmarks.baselines.cross_encoder.train import Schedule, mine, train
from lurcher.bundle.bundle import Bundle
from lurcher.evaluation.judgements import read_qrels, read_queries
from lurcher.evaluation.measures import interval

_SHOWN = ("MRR@10", "nDCG@10", "Recall@10")  # all that a few candidates allow

app = typer.Typer(add_completion=False, help=lurcher.benchmarks.baselines.cross_encoder.__doc__)
_Bundle = Annotated[Path, typer.Argument(help="The first stage.")]
_Data = Annotated[Path, typer.Argument(help="The data set's folder, as BEIR has it.")]
_Folder = Annotated[Path, typer.Option(help="Where weights, graph and figures go.")]
_Original = Annotated[Path | None, typer.Option(help="What to start from; the shipped encoder's.")]


@app.command("train")
def train_command(
    bundle: _Bundle,
    data: _Data,
    out: _Folder,
    questions: Annotated[int, typer.Option(help="How many of the train split.")] = 1_536,
    original: _Original = None,
    threads: Annotated[int, typer.Option(help="Cores to use.")] = 1,
) -> None:
    """Train on questions of the train split, and export; a run that was ended goes on."""
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    qrels = read_qrels(data / "qrels" / "train.tsv")
    order = np.random.default_rng(0).permutation(list(qrels))[:questions]
    network, tokenizer = start(original)
    with closing(Bundle.open(bundle)) as opened:
        texts = read_queries(data / "queries.jsonl")
        mined, passages = mine(opened, tokenizer, texts, {str(id_): qrels[id_] for id_ in order})
    console, started = Console(), time.monotonic()

    def report(step: int, steps: int, loss: float) -> None:
        minutes = (time.monotonic() - started) / 60
        console.print(f"step {step}/{steps}  loss {loss:.4f}  {minutes:.1f} min")

    train(network, tokenizer, mined, passages, Schedule(), out, report=report)
    export(network, out / GRAPH)


@app.command("score")
def score_command(
    bundle: _Bundle,
    data: _Data,
    out: _Folder,
    split: Annotated[str, typer.Option(help="Of the judgements.")] = "test",
    depth: Annotated[int, typer.Option(help="Passages of the first stage to rank.")] = FOUND,
    limit: Annotated[int | None, typer.Option(help="So many queries, the first.")] = None,
    weight: Annotated[float, typer.Option(help="The cross-encoder's, in the mix.")] = 0.5,
    check: Annotated[int, typer.Option(help="Queries that float32 ranks, too.")] = 20,
    original: _Original = None,
    threads: Annotated[int, typer.Option(help="Cores to use.")] = 1,
) -> None:
    """Rank by the INT8 graph what a bundle finds; write every query's values to SET-SPLIT.json.

    The best weight of the mix is printed, to be chosen on development queries and given for the test.
    """
    torch.set_num_threads(threads)
    qrels, texts = read_qrels(data / "qrels" / f"{split}.tsv"), read_queries(data / "queries.jsonl")
    judged = [id_ for id_, grades in qrels.items() if any(g > 0 for g in grades.values())]
    queries = {id_: texts[id_] for id_ in [i for i in judged if i in texts][:limit]}
    network, tokenizer = load(out, original)
    console = Console(width=140)
    with closing(Bundle.open(bundle)) as opened, closing(Scorer(out / GRAPH, threads)) as scorer:
        few = dict(list(queries.items())[:check])
        exact = rerank(opened, tokenizer, lambda pairs: score_torch(network, pairs), few, depth)
        int8 = rerank(opened, tokenizer, scorer, few, depth)
        figures = [r.measure(qrels, 1.0)["MRR@10"].mean() for r in (int8, exact)]
        console.print(
            f"{len(few)} queries: rank correlation of INT8 and float32 {check_ranks(int8, exact):.4f}, "
            f"MRR@10 {figures[0]:.4f} and {figures[1]:.4f}"
        )
        found = rerank(opened, tokenizer, scorer, queries, depth)
    console.print(f"best weight of a mix, on these queries: {found.best_weight(qrels):.1f}")
    ways = {"first_stage": 0.0, "cross_encoder": 1.0, "mixed": weight}
    values = {name: found.measure(qrels, share) for name, share in ways.items()}
    for name, share in ways.items():
        shown = {measure: interval(values[name][measure]) for measure in _SHOWN}
        line = "  ".join(f"{m} {f.mean:.4f} [{f.low:.4f}, {f.high:.4f}]" for m, f in shown.items())
        console.print(f"{name:<14} weight {share:.1f}  {line}", highlight=False)
    per = {
        name: {measure: each[measure].tolist() for measure in _SHOWN}
        for name, each in values.items()
    }
    content = {"depth": depth, "weight": weight, **asdict(found), "values": per}
    (out / f"{data.name}-{split}.json").write_text(json.dumps(content) + "\n", "utf-8")


@app.command("time")
def time_command(
    bundle: _Bundle,
    data: _Data,
    out: _Folder,
    queries: Annotated[int, typer.Option(help="To time, after one that is not counted.")] = 7,
    depth: Annotated[int, typer.Option(help="Pairs a query.")] = 100,
    original: _Original = None,
    threads: Annotated[int, typer.Option(help="Cores to use.")] = 2,
) -> None:
    """Time the pairs of single queries of the test split, in torch and in INT8."""
    texts = read_queries(data / "queries.jsonl")
    query_texts = [texts[id_] for id_ in read_qrels(data / "qrels" / "test.tsv")][: queries + 1]
    network, tokenizer = load(out, original)
    with closing(Bundle.open(bundle)) as opened:
        pairs = candidate_pairs(opened, tokenizer, query_texts, depth)
    for name, p50 in time_pairs(network, out / GRAPH, pairs, threads).items():
        Console().print(f"{name:<6} {depth} pairs on {threads} cores: p50 {p50:.0f} ms")


if __name__ == "__main__":
    app()
