"""Questions with the passage that answers each, and where in it the answer stands."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from lurcher.benchmarks.baselines.pairs import Pair
from lurcher.benchmarks.baselines.undecomposed.network import (
    LONGEST,
    LONGEST_QUESTION,
    PairTokenizer,
    Text,
)
from lurcher.bundle.bundle import PASSAGES
from lurcher.bundle.passages import Passage, Passages
from lurcher.errors import CorpusError
from lurcher.evaluation.answer_measures import read_answers
from lurcher.evaluation.judgements import read_qrels, read_queries
from lurcher.training.reader.spans import span_of

_CLS_AND_SEPS = 3
# Batches whose questions are sorted by length together.
_POOL = 32


@dataclass(frozen=True, slots=True)
class GoldQuestion:
    """One question, and the passage that is judged to answer it."""

    id: str
    question: Text
    passage: Passage
    read: Text  # the passage's content
    answers: list[str]


@dataclass(frozen=True, slots=True)
class Example:
    """One question to train on: the answer is from token ``first`` of the pair to ``last``."""

    pair: Pair
    first: int
    last: int


def read_questions(
    bundle: Path, tokenizer: PairTokenizer, data: Path, split: str, limit: int | None = None
) -> list[GoldQuestion]:
    """The first ``limit`` questions of ``split`` that have answers and a passage in ``bundle``.

    Of several relevant passages it is the first. Raises CorpusError where none is left.
    """
    queries, answers = read_queries(data / "queries.jsonl"), read_answers(data / "queries.jsonl")
    file = data / "qrels" / f"{split}.tsv"
    relevant = {
        query: next((passage for passage, grade in grades.items() if grade > 0), None)
        for query, grades in read_qrels(file).items()
        if answers.get(query)
    }
    with closing(Passages(bundle / PASSAGES)) as passages:
        rows = passages.rows_of(list({id_ for id_ in relevant.values() if id_ is not None}))
        kept = [(query, id_) for query, id_ in relevant.items() if id_ in rows][:limit]
        if not kept:
            reason = f"no passage of {bundle} answers a query that has answers"
            raise CorpusError(file, None, reason)
        needed = sorted({rows[id_] for _, id_ in kept})
        found = passages.get(needed)
    texts = tokenizer.texts([passage.content for passage in found])
    of = {
        passage.id: both
        for passage, both in zip(found, zip(found, texts, strict=True), strict=True)
    }
    questions = tokenizer.texts([queries[query] for query, _ in kept])
    return [
        GoldQuestion(query, question, *of[id_], answers[query])
        for (query, id_), question in zip(kept, questions, strict=True)
    ]


def examples(tokenizer: PairTokenizer, questions: list[GoldQuestion]) -> list[Example]:
    """What can be trained on: questions whose first answer stands in what is read of the passage."""
    found = []
    for one in questions:
        question = min(len(one.question.ids), LONGEST_QUESTION)
        room = LONGEST - question - _CLS_AND_SEPS
        span = span_of(one.passage, one.read.spans, one.answers[0])
        if span is not None and span[1] < room:
            pair = tokenizer.pair(one.question, one.read)
            found.append(Example(pair, pair.first + span[0], pair.first + span[1]))
    return found
