"""``lurcher eval``: how well a bundle or a server retrieves or answers, also against another.

Answers are measured by EM and F1 as SQuAD's official scripts count them (evaluation.answer_measures): a
question that nothing answers is answered right by no answer. Beside them how many questions were answered at
all, how often those without an answer were not, and how far the answers' probabilities are from how often
they are right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from lurcher.errors import InputError
from lurcher.evaluation.answer_measures import calibration_error, exact_match, f1
from lurcher.evaluation.answerers import Answerer
from lurcher.evaluation.judgements import Qrels
from lurcher.evaluation.measures import Figure, interval
from lurcher.evaluation.missing import missing_queries, relevant_passages
from lurcher.evaluation.runs import Ranking, Run, write_run
from lurcher.evaluation.searchers import Searcher
from lurcher.evaluation.systems import (
    Comparison,
    System,
    comparisons,
    found_nothing,
    lacking,
    rows_of,
    system_of,
)
from lurcher.evaluation.tables import write_table


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures of one target, and how others compare with it.

    ``warnings`` say which judgements could not count. ``rows`` has one row for each query of each target, and
    ``rankings`` what the target found, by the query's id.
    """

    target: str
    queries: int
    figures: dict[str, Figure]
    against: list[Comparison] = field(default_factory=list)
    warnings: tuple[str, ...] = ()
    rows: list[dict[str, str | float | None]] = field(default_factory=list, repr=False)
    rankings: dict[str, Ranking] = field(default_factory=dict, repr=False)

    def as_dict(self) -> dict[str, object]:
        """What ``--json`` writes: all but ``rows`` and ``rankings``."""
        return {
            "target": self.target, "queries": self.queries,
            "figures": {name: asdict(figure) for name, figure in self.figures.items()},
            "against": [asdict(one) for one in self.against], "warnings": list(self.warnings),
        }  # fmt: skip

    def write_run(self, path: Path | str) -> None:
        """Write ``rankings`` to a file as TREC's tools read them. Raises FieldError, OSError."""
        write_run(Path(path), self.rankings)

    def write_per_query(self, path: Path | str) -> None:
        """Write ``rows`` to a file that ends in .csv or .parquet. Raises LurcherError, OSError."""
        write_table(Path(path), self.rows)


def evaluate(
    target: Searcher | Run, queries: Mapping[str, str], qrels: Qrels, limit: int | None = None,
    against: Sequence[Searcher | Run] = (),
) -> Evaluation:  # fmt: skip
    """Measure ``target`` on the judged queries (the first ``limit`` of them, in qrels order).

    Each of ``against`` is compared with it, that one minus ``target``, so above 0 the other one is better.
    Raises InputError if no judged query has a text, or a target no judged passage.
    """
    judged = [id_ for id_, grades in qrels.items() if any(g > 0 for g in grades.values())]
    if not judged:
        raise InputError("no judgement has a grade above 0")
    warnings = list(missing_queries(judged, queries))
    asked = {id_: queries[id_] for id_ in judged if id_ in queries}
    asked = dict(list(asked.items())[:limit])
    wanted = relevant_passages(list(asked), qrels)
    systems: list[System] = []
    for one in (target, *against):
        warnings += lacking(one, wanted)
        systems.append(system_of(one, asked, qrels))
        warnings += found_nothing(one, systems[-1], asked, wanted)
    first = systems[0]
    return Evaluation(
        first.name, len(asked), {name: interval(values) for name, values in first.scores.items()},
        comparisons(first, systems[1:]), tuple(warnings), rows_of(systems, asked),
        dict(zip(asked, first.rankings, strict=True)),
    )  # fmt: skip


def evaluate_answers(
    answerer: Answerer, questions: Mapping[str, str], answers: Mapping[str, Sequence[str]],
    limit: int | None = None,
) -> Evaluation:  # fmt: skip
    """Measure ``answerer`` on the first ``limit`` of the ``questions`` whose ``answers`` are known.

    Raises InputError if there are none.
    """
    ids = [id_ for id_ in questions if id_ in answers][:limit]
    if not ids:
        raise InputError("none of the queries lists its answers")
    given = list(answerer.answer([questions[id_] for id_ in ids]))
    texts = ["" if answer is None else answer.text for answer in given]
    golds = [answers[id_] for id_ in ids]
    exact = np.array([exact_match(text, gold) for text, gold in zip(texts, golds, strict=True)])
    overlap = np.array([f1(text, gold) for text, gold in zip(texts, golds, strict=True)])
    silent = np.array([answer is None for answer in given])
    unanswerable = np.array([not gold for gold in golds])
    rows: list[dict[str, str | float | None]] = [
        {
            "query_id": id_, "query": questions[id_], "target": answerer.name,
            "answer": None if answer is None else answer.text,
            "score": None if answer is None else answer.score, "EM": float(em), "F1": float(same),
        }
        for id_, answer, em, same in zip(ids, given, exact, overlap, strict=True)
    ]  # fmt: skip
    figures = {"EM": interval(exact), "F1": interval(overlap), "answered": interval(1.0 * ~silent)}
    if unanswerable.any():
        figures["no answer where none is"] = interval(1.0 * silent[unanswerable])
    if not silent.all():
        scores = np.array([answer.score for answer in given if answer is not None])
        error = calibration_error(scores, exact[~silent])
        figures["calibration error"] = Figure(error, error, error)
    return Evaluation(answerer.name, len(ids), figures, rows=rows)
