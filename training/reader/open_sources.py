"""Questions to train a reader on from all passages: judged ones, and ones that list answers alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.segmented.passages import PassageStore
from lurcher.errors import CorpusError
from lurcher.evaluation.answer_measures import read_answers
from lurcher.evaluation.judgements import read_qrels, read_queries
from lurcher.retrieval.snapshot import Snapshot
from lurcher.training.reader.distant import Asked, Found, find
from lurcher.training.reader.groups import Source
from lurcher.training.reader.spans import Texts


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file of questions with answers, and of judgements; None: whatever holds an answer may be right."""

    queries: Path
    qrels: Path | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """What of a sheet is used: questions, in an order of their own, and what is judged relevant to each."""

    name: str
    asked: Asked
    relevant: list[set[str]] | None


def read_sheet(sheet: Sheet, most: int | None, seed: int) -> Read:
    """At most so many of the questions of ``sheet`` that list answers. Raises CorpusError."""
    texts, answers = read_queries(sheet.queries), read_answers(sheet.queries)
    ids = [id_ for id_ in texts if answers.get(id_)]
    relevant = None
    if sheet.qrels is not None:
        qrels = read_qrels(sheet.qrels)
        by_id = {
            id_: {p for p, grade in found.items() if grade > 0} for id_, found in qrels.items()
        }
        ids = [id_ for id_ in ids if by_id.get(id_)]
    if not ids:
        where = sheet.qrels or sheet.queries
        raise CorpusError(
            where, None, f"no question of {sheet.queries} with answers is judged in it"
        )
    order = np.random.default_rng(seed).permutation(len(ids))[:most]
    ids = [ids[place] for place in order.tolist()]
    if sheet.qrels is not None:
        relevant = [by_id[id_] for id_ in ids]
    asked = Asked([texts[id_] for id_ in ids], [answers[id_] for id_ in ids])
    return Read(sheet.queries.stem, asked, relevant)


def open_source(
    folder: Path, bundle: Bundle, snapshot: Snapshot, texts: Texts, read: Read,
    report: Callable[[str], None],
) -> Source:  # fmt: skip
    """The questions of ``read`` with what searches find for them, kept in ``folder``."""
    found = find(folder, snapshot, texts, read.asked, report)
    judged = None if read.relevant is None else _judged(bundle.passages, read.relevant, found)
    return Source(read.name, read.asked, found, judged)


def _judged(passages: PassageStore, relevant: Sequence[set[str]], found: Found) -> np.ndarray:
    """Which rows (n, K) are judged to answer their question; all parts of a document that is."""
    named = sorted({id_ for ids in relevant for id_ in ids})
    rows = {id_: {row} for id_, row in passages.rows_of(named).items()}
    parts = passages.parts(named)
    of_parts = passages.rows_of([id_ for ids in parts.values() for id_ in ids])
    for document, ids in parts.items():
        rows.setdefault(document, set()).update(of_parts[id_] for id_ in ids)
    judged = np.zeros(found.rows.shape, np.bool_)
    for number, wanted in enumerate(relevant):
        own = [row for id_ in wanted for row in rows.get(id_, ())]
        judged[number] = np.isin(found.rows[number], own)
    return judged
