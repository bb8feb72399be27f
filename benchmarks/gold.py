"""``lurcher bench gold``: how well a reader reads the passage that holds the answer, and what costs it what.

EM and F1 of the best span, as SQuAD's script counts them. The reader reads 1-bit codes, as it serves; the
states that they stand for, as floats (the decomposed model before binarisation: BTR, Cao et al. 2024, table
4); and the codes of a window of the passage alone, the tokens around those that the question's meet best:
compression when a question comes, which unlike merging tokens keeps every span.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from lurcher.bundle.bundle import ENCODER, Bundle
from lurcher.bundle.reading_store import ReadingStore
from lurcher.bundle.segmented.passages import PassageStore
from lurcher.errors import FieldError, InputError
from lurcher.evaluation.answer_measures import exact_match, f1, read_answers
from lurcher.evaluation.judgements import read_qrels, read_queries
from lurcher.evaluation.measures import interval
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.reader.reader import Reader
from lurcher.models.reader.spans import best_spans
from lurcher.models.tokens.clustering import Integers, Vectors
from lurcher.models.tokens.coder import TokenCoder
from lurcher.models.tokens.passages import informative_tokens
from lurcher.retrieval.capabilities import NO_READER
from lurcher.retrieval.passage_reader import PassageReader, ReaderQuery
from lurcher.threads import available_cpus

_WINDOWS = (96, 64, 48, 32)
_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class _Gold:
    """A passage that answers questions: which of its tokens have codes, what those stand for, and states."""

    content: str
    spans: list[tuple[int, int]]
    places: Integers
    decoded: Vectors  # (n, d)
    exact: Vectors  # (n, d), the same off the mean before they were codes


def main(
    bundle: Annotated[Path, typer.Argument(help="A bundle with a reader.")],
    queries: Annotated[Path, typer.Option(help="queries.jsonl, with answers.")],
    qrels: Annotated[Path, typer.Option(help="Which passage answers.")],
    limit: Annotated[int | None, typer.Option(min=1, help="The first so many questions.")] = None,
) -> None:
    """Print EM and F1 with 95 % intervals, and the time that reading takes beside that of all codes."""
    texts, answers = read_queries(queries), read_answers(queries)
    with closing(Bundle.open(bundle)) as used:
        reader, store, tokens = used.reader(1), used.reading, used.tokens
        if reader is None or store is None or tokens is None:
            raise FieldError("bundle", NO_READER)
        ids = {
            query: max(grades, key=lambda p: grades[p])
            for query, grades in read_qrels(qrels).items()
        }
        rows = used.passages.rows_of(list(set(ids.values())))
        query_ids = [q for q, p in ids.items() if p in rows and answers.get(q) and q in texts][
            :limit
        ]
        if not query_ids:
            raise InputError("no question with answers has a passage in the bundle")
        encoder = used.query_encoder(available_cpus())
        side = Encoder.load(used.path / ENCODER, "passage", available_cpus())
        serving = PassageReader(reader, store, tokens.coder, used.passages, side)
        needed = sorted({rows[ids[query]] for query in query_ids})
        golds = _golds(used.passages, store, tokens.coder, side, needed)
        predicted: dict[str, list[str]] = {}
        seconds: dict[str, float] = {}
        for first in range(0, len(query_ids), _AT_ONCE):
            some = query_ids[first : first + _AT_ONCE]
            read = encoder.tokenise([texts[query] for query in some])
            for query, text in zip(some, read, strict=True):
                question, gold = serving.query(encoder, text), golds[rows[ids[query]]]
                for name, way in _ways(reader, question, gold).items():
                    begun = perf_counter()
                    predicted.setdefault(name, []).append(way())
                    seconds[name] = seconds.get(name, 0.0) + perf_counter() - begun
        table = Table("", "EM", "F1", "time", title=f"{len(query_ids):,} questions")
        for name, found in predicted.items():
            pairs = list(zip(found, (answers[query] for query in query_ids), strict=True))
            exact = interval(np.array([exact_match(*pair) for pair in pairs]))
            overlap = interval(np.array([f1(*pair) for pair in pairs]))
            shown = [
                f"{100 * f.mean:.2f} [{100 * f.low:.2f}, {100 * f.high:.2f}]"
                for f in (exact, overlap)
            ]
            table.add_row(name, *shown, f"{seconds[name] / seconds[_CODES]:.2f}")
        Console(width=110).print(table)


_CODES = "1-bit codes"


def _ways(reader: Reader, query: ReaderQuery, gold: _Gold) -> dict[str, Callable[[], str]]:
    states = query.states

    def read(decoded: Vectors, window: int | None = None) -> str:
        kept = slice(None) if window is None else _window(states @ decoded.T, query.weights, window)
        some, places = decoded[kept], gold.places[kept]
        counts, bonus = np.array([len(some)]), np.zeros(1, np.float32)
        logits = reader.logits(states, query.weights, some, places, counts)
        for span in best_spans(logits, counts, bonus, reader.config.longest, 1):
            start = gold.spans[places[span.first]][0]
            return gold.content[start : gold.spans[places[span.last]][1]]
        return ""

    ways: dict[str, Callable[[], str]] = {
        _CODES: lambda: read(gold.decoded), "float states": lambda: read(gold.exact)
    }  # fmt: skip
    for window in _WINDOWS:
        ways[f"1-bit codes, a window of {window}"] = partial(read, gold.decoded, window)
    return ways


def _window(similar: Vectors, weights: Vectors, size: int) -> slice:
    """The ``size`` tokens one after the other that meet the question's (L, n) best."""
    n = similar.shape[1]
    if n <= size:
        return slice(0, n)
    # A question's token counts where it is met best, not wherever it is met somehow.
    told = weights @ np.where(similar >= 0.9 * similar.max(axis=1, keepdims=True), similar, 0.0)
    sums = np.convolve(told, np.ones(size), "valid")
    best = np.flatnonzero(sums >= sums.max() - 1e-6)
    start = int(best[len(best) // 2])
    return slice(start, start + size)


def _golds(
    passages: PassageStore, store: ReadingStore, coder: TokenCoder, side: Encoder, rows: list[int]
) -> dict[int, _Gold]:
    """The ``passages`` at ``rows``, by row, as ``side`` reads them."""
    found: dict[int, _Gold] = {}
    for first in range(0, len(rows), _AT_ONCE):
        some = rows[first : first + _AT_ONCE]
        here = passages.get(some)
        tokens = side.tokenise([passage.content for passage in here])
        states = side.lower_states(tokens)
        for row, passage, text, of in zip(some, here, tokens, states, strict=True):
            own = side.own_tokens(text)
            ((places, ids),) = informative_tokens(side, coder, [text])
            codes, _ = store.gather(np.array([row]))
            found[row] = _Gold(
                passage.content, side.own_spans(passage.content), places,
                store.coder.decode(codes, ids), store.coder.centred(of[own][places]),
            )  # fmt: skip
    return found
