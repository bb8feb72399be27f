"""Questions with answers and no judgements, as a search finds passages for them: distant supervision.

A search as the bundle serves it finds the passages, by words and by vectors, ranked by late interaction.
Those that hold an answer as whole words (``occurrences``) may answer the question, the others do not. What
was found lies in files, one for so many questions, so that a killed run goes on::

    part-000000.npz    rows (n, K), scores (n, K)    passages and what the search scores them; row -1: none
                       spans (s, 4)                  question, place among its rows, first and last token
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lurcher.bundle.passages import Passage, Rows
from lurcher.bundle.vectors import Vectors
from lurcher.errors import LurcherError
from lurcher.models.tokens.clustering import Integers
from lurcher.retrieval.query import Query
from lurcher.retrieval.snapshot import Snapshot
from lurcher.training.ranker.questions import NO_SCORE
from lurcher.training.reader.occurrences import occurrences, pattern_of
from lurcher.training.reader.spans import Texts

# Passages that a search finds for each question.
DEPTH = 20
_PART, _TOGETHER = 1_024, 64  # questions a file, and searched at once


@dataclass(frozen=True, slots=True)
class Asked:
    """Questions with their right answers; (n,) both."""

    texts: list[str]
    answers: list[list[str]]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found for n questions, K passages each, and where their answers stand in these."""

    rows: Rows  # (n, K), -1: none
    scores: Vectors  # (n, K)
    spans: Integers  # (s, 4): question, place among its rows, first and last token; by question

    @property
    def ends(self) -> Integers:
        """Where the spans of each question end, (n,)."""
        return np.searchsorted(self.spans[:, 0], np.arange(len(self.rows)), side="right")

    @property
    def answerable(self) -> Rows:
        """The numbers of the questions with an answer in any of their passages."""
        return np.unique(self.spans[:, 0])


def find(
    folder: Path, snapshot: Snapshot, texts: Texts, asked: Asked, report: Callable[[str], None]
) -> Found:
    """What searches of ``snapshot`` find for the questions ``asked``, kept in ``folder``.

    ``texts`` are those of its passages. Raises LurcherError for a question that cannot be searched for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for first in range(0, len(asked), _PART):
        file = folder / f"part-{first // _PART:06}.npz"
        if not file.exists():
            these = slice(first, first + _PART)
            part = _searched(snapshot, texts, asked.texts[these], asked.answers[these])
            new = file.with_suffix(".new.npz")
            np.savez(new, rows=part.rows, scores=part.scores, spans=part.spans)
            new.replace(file)
            report(f"{folder.name}: {min(first + _PART, len(asked)):,} of {len(asked):,} searched")
        with np.load(file) as saved:
            parts.append(Found(saved["rows"], saved["scores"], saved["spans"]))
    apart = np.array([_PART, 0, 0, 0])
    spans = [part.spans + place * apart for place, part in enumerate(parts)]
    return Found(
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate(spans),
    )


def _searched(
    snapshot: Snapshot, texts: Texts, questions: Sequence[str], answers: Sequence[list[str]]
) -> Found:
    rows = np.full((len(questions), DEPTH), -1)
    scores = np.full((len(questions), DEPTH), NO_SCORE, np.float32)
    spans: list[tuple[int, int, int, int]] = []
    for first in range(0, len(questions), _TOGETHER):
        queries = [Query(text, DEPTH) for text in questions[first : first + _TOGETHER]]
        for number, result in enumerate(snapshot.run(queries), first):
            if isinstance(result, LurcherError):
                raise result
            hits = result.hits
            known = snapshot.bundle.passages.rows_of([hit.id for hit in hits])
            rows[number, : len(hits)] = [known[hit.id] for hit in hits]
            scores[number, : len(hits)] = [hit.score for hit in hits]
            pattern = pattern_of(answers[number])
            if pattern is None:
                continue
            for place, hit in enumerate(hits):
                row = int(rows[number, place])
                spans += [(number, place, *one) for one in _in(pattern, hit.passage, row, texts)]
    return Found(rows, scores, np.array(spans, np.int64).reshape(-1, 4))


def _in(
    pattern: re.Pattern[str], passage: Passage, row: int, texts: Texts
) -> list[tuple[int, int]]:
    """Where ``pattern`` stands in ``passage``, which is at ``row``."""
    if pattern.search(passage.content) is None:  # most: their tokens need not be looked for
        return []
    own = texts.encoder.own_spans(passage.content)
    return occurrences(pattern, passage.content, own, texts.places[texts.of(row)])
