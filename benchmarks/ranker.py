"""``lurcher bench ranker``: the time of the rank stage, beside cross-encoders and other kernels.

One query at a time. The ways take turns of a few queries, so that a machine that slows down slows all of
them, and each finds its own data in the caches, as a server would. The ranker starts from the query's
states and the candidates' rows; cross-encoders from token ids. What counts are the ratios.

A cross-encoder takes seconds a query. It reads a few of the queries, spread over the run, and its ratio is
to what the rank stage takes for those.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from lurcher.benchmarks.baselines.cross_encoder.graph import GRAPH, Scorer, export
from lurcher.benchmarks.baselines.cross_encoder.model import Scores, load, score_torch, start
from lurcher.benchmarks.baselines.cross_encoder.pairs import PairTokenizer
from lurcher.benchmarks.baselines.cross_encoder.rank import candidate_pairs
from lurcher.benchmarks.baselines.pairs import Pair
from lurcher.benchmarks.ranker_kernels import KERNELS, LOSSY, Kernel
from lurcher.benchmarks.timing import Way, ratio, take_turns
from lurcher.bundle.bundle import ENCODER, Bundle
from lurcher.errors import FieldError, ParityError
from lurcher.evaluation.judgements import read_qrels, read_queries
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.ranker.maxsim import best_met, similarities
from lurcher.models.tokens.products import Vectors
from lurcher.retrieval.capabilities import NO_TOKENS
from lurcher.retrieval.costs import CostModel
from lurcher.retrieval.passage_reader import PassageReader
from lurcher.retrieval.query import (
    Candidates,
    Plan,
    Query,
    QueryFeatures,
    QueryState,
    RankerName,
)
from lurcher.retrieval.rankers import Ranker
from lurcher.retrieval.rankers.maxsim import MaxSimRanker, ReaderRanker
from lurcher.retrieval.stages.encode import token_features
from lurcher.retrieval.stages.rank import Rank
from lurcher.threads import available_cpus

_DEPTHS = (100, 1_000)
RANK = "rank stage"
_BUDGETS = (512, 2_048, 8_192)  # padded tokens a batch of pairs
_TRIED = 100  # pairs that a budget is tried on

Form = Callable[[Sequence[Pair], int], Scores]


def main(
    bundle: Annotated[Path, typer.Argument(help="A bundle with tokens.")],
    queries: Annotated[Path, typer.Option(help="queries.jsonl.")],
    qrels: Annotated[Path, typer.Option(help="Whose queries to ask.")],
    cross: Annotated[
        Path | None, typer.Option(help="A trained cross-encoder; default: one with random weights.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Queries to time.")] = 500,
    pairs: Annotated[
        int, typer.Option(help="Pairs each cross-encoder reads; 3 queries at least.")
    ] = 1_000,
    threads: Annotated[int | None, typer.Option(help="Cores for cross-encoders; all.")] = None,
) -> None:
    """Print percentiles of each way for 100 and 1,000 candidates, and their ratios to the rank stage."""
    console, cores = Console(width=120), threads or available_cpus()
    texts = read_queries(queries)
    query_texts = [texts[id_] for id_ in read_qrels(qrels) if id_ in texts][:limit]
    before = _load()
    with ExitStack() as opened:
        used = opened.enter_context(closing(Bundle.open(bundle)))
        if used.tokens is None:
            raise FieldError("bundle", NO_TOKENS)
        tokenizer, forms = opened.enter_context(_cross_encoders(cross, cores))
        for depth in dict.fromkeys(min(depth, used.passages.count) for depth in _DEPTHS):
            every = max(1, len(query_texts) // max(3, pairs // depth))
            read = candidate_pairs(used, tokenizer, query_texts[::every], depth)
            ways = _stages(used, query_texts, depth, every, cores) | {
                f"cross-encoder, {name}": _reading(form, read, every)
                for name, form in forms.items()
            }
            seconds = take_turns(ways, len(query_texts))
            settings = used.tokens.settings
            title = (
                f"{depth:,} candidates, {settings.bits} bits, keep ratio {settings.keep_ratio:g}"
            )
            console.print(_table(title, seconds))
    blas = os.environ.get("OMP_NUM_THREADS", "not set")
    console.print(
        f"Cross-encoders, decoder and reader on {cores} cores, all else on one; load {before} before, "
        f"{_load()} after; OMP_NUM_THREADS {blas}.",
        highlight=False,
    )


def _stages(
    bundle: Bundle, query_texts: Sequence[str], depth: int, every: int, cores: int
) -> dict[str, Way]:
    """The rank stage as the server has it, what can come on top, and its costly part by other kernels.

    A reader's time is with that of the query's own pass through its encoder.
    """
    encoder, decoder, store = (
        bundle.query_encoder(available_cpus()),
        bundle.decoder(cores),
        bundle.tokens,
    )
    if store is None:
        raise FieldError("bundle", NO_TOKENS)
    side = Encoder.load(bundle.path / ENCODER, "passage", cores)
    span_reader = bundle.reader(cores)
    reader = (
        None
        if span_reader is None or bundle.reading is None
        else PassageReader(span_reader, bundle.reading, store.coder, bundle.passages, side)
    )
    rankers: dict[RankerName, Ranker] = {"maxsim": MaxSimRanker(store)}
    if decoder is not None:
        rankers["decoder"] = MaxSimRanker(store, decoder)
    if reader is not None:
        rankers["reader"] = ReaderRanker(store, reader)
    stage = Rank(rankers, CostModel())
    tokens = encoder.tokenise(query_texts)
    vectors, states = encoder.encode_states(tokens)
    features = [
        QueryFeatures(text, vector, token_features=token_features(encoder, store, text, found))
        for text, vector, found in zip(tokens, vectors, states, strict=True)
    ]
    candidates = [
        Candidates(rows, {"dense": dense})
        for dense, rows in zip(*bundle.vectors.search(vectors, depth), strict=True)
    ]

    def state(i: int, name: RankerName) -> QueryState:
        plan = Plan(name, "off", ("dense",), depth, depth)
        return QueryState(Query(query_texts[i]), plan, None, features[i], candidates=candidates[i])

    def rank(name: RankerName, i: int) -> None:
        stage([state(i, name)])

    def read(i: int) -> None:
        assert reader is not None  # noqa: S101 (timed only where there is one)
        query = reader.query(encoder, tokens[i])
        one = state(i, "reader")
        stage([replace(one, features=replace(features[i], reader_query=query))])

    def score(kernel: Kernel, i: int) -> Vectors:
        codes, counts = store.gather(candidates[i].rows)
        tokens_of = features[i].token_features
        assert tokens_of is not None  # noqa: S101 (made above)
        return best_met(kernel(tokens_of.projected, codes), counts) @ tokens_of.weights

    for name, kernel in KERNELS.items():
        if name not in LOSSY and not np.allclose(
            score(kernel, 0), score(similarities, 0), atol=1e-5
        ):
            raise ParityError(f"{name}: other scores than the ranker's")
    ways = {RANK: Way(partial(rank, "maxsim"))}
    if decoder is not None:
        ways["decoder"] = Way(partial(rank, "decoder"))
    if reader is not None:
        ways["reader"] = Way(read, every)
    return ways | {name: Way(partial(score, kernel)) for name, kernel in KERNELS.items()}


@contextmanager
def _cross_encoders(
    folder: Path | None, cores: int
) -> Iterator[tuple[PairTokenizer, dict[str, Form]]]:
    """The tokeniser and both forms of the cross-encoder in ``folder``, or of one that nobody trained."""
    before = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as opened:
        network, tokenizer = start() if folder is None else load(folder)
        if folder is None:
            export(network, Path(scratch) / GRAPH)
        scorer = opened.enter_context(closing(Scorer((folder or Path(scratch)) / GRAPH, cores)))
        torch.set_num_threads(cores)
        opened.callback(torch.set_num_threads, before)
        yield tokenizer, {"torch float32": partial(score_torch, network), "ONNX INT8": scorer}


def _reading(form: Form, read: Sequence[Sequence[Pair]], every: int) -> Way:
    """A cross-encoder that reads the pairs of every so manieth query, in batches as is fastest for it."""

    def first(budget: int) -> float:
        begun = perf_counter()
        form(read[0][:_TRIED], budget)
        return perf_counter() - begun

    first(_BUDGETS[0])  # what is made on first use
    budget = min(_BUDGETS, key=first)
    return Way(lambda i: form(read[i // every], budget), every)


def _table(title: str, seconds: Mapping[str, Mapping[int, float]]) -> Table:
    table = Table("", "queries", "p50", "p95", "p99", "times the rank stage", title=title)
    for name, taken in seconds.items():
        marks = np.percentile(list(taken.values()), [50, 95, 99])
        shown = [f"{1_000 * mark:,.2f} ms" for mark in marks]
        table.add_row(name, f"{len(taken)}", *shown, f"{ratio(taken, seconds[RANK]):,.2f}")
    return table


def _load() -> str:
    return " ".join(f"{mean:.2f}" for mean in os.getloadavg())
