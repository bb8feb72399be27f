"""``lurcher eval``: how well a bundle or a server retrieves or answers, also against another.

Answers are measured by EM and F1 as SQuAD's official scripts count them (evaluation.answer_measures): a
question that nothing answers is answered right by no answer. Beside them how many questions were answered at
all, how often those without an answer were not, and how far the answers' probabilities are from how often
they are right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from lurcher.errors import InputError
from lurcher.evaluation.answer_measures import calibration_error, exact_match, f1
from lurcher.evaluation.answerers import Answerer
from lurcher.evaluation.judgements import Qrels
from lurcher.evaluation.measures import DEPTH, Figure, interval, per_query
from lurcher.evaluation.missing import missing_queries, relevant_passages, unknown_passages
from lurcher.evaluation.searchers import Ranking, Searcher


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures of one target; ``against`` holds another's minus these, query by query.

    ``warnings`` say which judgements could not count.
    """

    target: str
    queries: int
    figures: dict[str, Figure]
    against: dict[str, Figure] | None = None
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """What ``--json`` writes."""
        return asdict(self)


def evaluate(
    searcher: Searcher, queries: Mapping[str, str], qrels: Qrels, limit: int | None = None,
    against: Searcher | None = None,
) -> Evaluation:  # fmt: skip
    """Measure ``searcher`` on the judged queries (the first ``limit`` of them, in qrels order).

    With ``against``, also the difference to it: that one minus ``searcher``, so above 0 the other
    one is better. Raises InputError if no judged query has a text, or a target no judged passage.
    """
    judged = [id_ for id_, grades in qrels.items() if any(g > 0 for g in grades.values())]
    if not judged:
        raise InputError("no judgement has a grade above 0")
    warnings = list(missing_queries(judged, queries))
    ids = [id_ for id_ in judged if id_ in queries][:limit]
    wanted = relevant_passages(ids, qrels)
    texts = [queries[id_] for id_ in ids]

    def ranked(target: Searcher) -> list[Ranking]:
        known = target.known(wanted)
        if known is not None:
            warnings.extend(unknown_passages(target.name, wanted, known))
        found = target.search(texts, DEPTH)
        if known is None and not {id_ for ranking in found for id_, _ in ranking} & set(wanted):
            warnings.append(
                f"{target.name} found none of the {len(wanted):,} judged passages; are the judgements of its "
                "corpus?"
            )
        return found

    scores = per_query(ids, ranked(searcher), qrels)
    differences = None
    if against is not None:
        other = per_query(ids, ranked(against), qrels)
        differences = {name: interval(other[name] - scores[name]) for name in scores}
    figures = {name: interval(values) for name, values in scores.items()}
    return Evaluation(searcher.name, len(ids), figures, differences, tuple(warnings))


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
    figures = {"EM": interval(exact), "F1": interval(overlap), "answered": interval(1.0 * ~silent)}
    if unanswerable.any():
        figures["no answer where none is"] = interval(1.0 * silent[unanswerable])
    if not silent.all():
        scores = np.array([answer.score for answer in given if answer is not None])
        error = calibration_error(scores, exact[~silent])
        figures["calibration error"] = Figure(error, error, error)
    return Evaluation(answerer.name, len(ids), figures)
