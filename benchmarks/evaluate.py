"""``lurcher eval``: the retrieval quality of a bundle or a server, also against another."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from lurcher.benchmarks.searchers import Searcher
from lurcher.evaluation.judgements import Qrels
from lurcher.evaluation.measures import DEPTH, Figure, interval, per_query
from lurcher.models.errors import InputError


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures of one searcher; ``against`` holds another's minus these, query by query."""

    target: str
    queries: int
    figures: dict[str, Figure]
    against: dict[str, Figure] | None = None

    def as_dict(self) -> dict[str, object]:
        """What ``--json`` writes."""
        return asdict(self)


def evaluate(
    searcher: Searcher, queries: dict[str, str], qrels: Qrels, limit: int | None = None,
    against: Searcher | None = None,
) -> Evaluation:  # fmt: skip
    """The quality of ``searcher`` on the judged queries (the first ``limit`` of them, in qrels order).

    With ``against``, also the difference to it: that one minus ``searcher``, so above 0 the other
    one is better. Raises InputError where no judged query has a text.
    """
    judged = [id_ for id_, grades in qrels.items() if any(g > 0 for g in grades.values())]
    asked = [id_ for id_ in judged if id_ in queries][:limit]
    if not asked:
        raise InputError("none of the judged queries is among the queries")
    texts = [queries[id_] for id_ in asked]
    scores = per_query(asked, searcher.search(texts, DEPTH), qrels)
    differences = None
    if against is not None:
        other = per_query(asked, against.search(texts, DEPTH), qrels)
        differences = {name: interval(other[name] - scores[name]) for name in scores}
    figures = {name: interval(values) for name, values in scores.items()}
    return Evaluation(searcher.name, len(asked), figures, differences)
