"""What a target found for some queries, how good that is, and how it compares with others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lurcher.evaluation.judgements import Qrels
from lurcher.evaluation.measures import DEPTH, Figure, PerQuery, interval, per_query
from lurcher.evaluation.missing import unknown_passages
from lurcher.evaluation.runs import Ranking, Run
from lurcher.evaluation.searchers import Searcher
from lurcher.evaluation.significance import holm, randomisation_p


@dataclass(frozen=True, slots=True)
class Difference(Figure):
    """Another target's mean minus the target's, with its 95 % interval.

    ``p`` is that of a paired randomisation test; ``p_corrected`` is corrected by Holm for all measures of all
    targets that were compared at once.
    """

    p: float
    p_corrected: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Another target, and its figures minus the target's, query by query: above 0 the other is better."""

    target: str
    differences: dict[str, Difference]


@dataclass(frozen=True, slots=True)
class System:
    """A target by its ``name``: what it found for each query, and the measures (n,) of that.

    ``scores`` is empty where nothing was judged.
    """

    name: str
    rankings: list[Ranking]
    scores: PerQuery


def system_of(target: Searcher | Run, queries: Mapping[str, str], qrels: Qrels | None) -> System:
    """What ``target`` finds for ``queries``, texts by id, measured by ``qrels`` if there are any."""
    ids = list(queries)
    if isinstance(target, Run):
        rankings = target.rankings_of(ids, DEPTH)
    else:
        rankings = target.search(list(queries.values()), DEPTH)
    return System(target.name, rankings, {} if qrels is None else per_query(ids, rankings, qrels))


def lacking(target: Searcher | Run, wanted: Sequence[str]) -> Iterator[str]:
    """A warning of judged passages ``wanted`` that ``target`` lacks. Raises InputError if it has none.

    To be asked before a search, which may take long. Nothing is known of servers and runs.
    """
    known = None if isinstance(target, Run) else target.known(wanted)
    if known is not None:
        yield from unknown_passages(target.name, wanted, known)


def found_nothing(
    target: Searcher | Run, found: System, queries: Mapping[str, str], wanted: Sequence[str]
) -> Iterator[str]:
    """Warnings where ``found`` has none of the passages ``wanted``, or a run nothing for some queries."""
    if not {id_ for ranking in found.rankings for id_, _ in ranking} & set(wanted):
        yield (
            f"{target.name} found none of the {len(wanted):,} judged passages; are the judgements of its "
            "corpus?"
        )
    elif isinstance(target, Run):
        missing = [id_ for id_ in queries if id_ not in target.rankings]
        if missing:
            yield (
                f"{target.name} has no hits for {len(missing):,} of {len(queries):,} queries (first: "
                f"{missing[0]!r}), which count as nothing found"
            )


def comparisons(first: System, others: Sequence[System]) -> list[Comparison]:
    """How each of ``others`` compares with ``first``, by all of its measures."""
    changes = [
        [other.scores[name] - values for name, values in first.scores.items()] for other in others
    ]
    corrected = iter(holm(found := [randomisation_p(one) for of in changes for one in of]))
    plain = iter(found)
    result: list[Comparison] = []
    for other, of in zip(others, changes, strict=True):
        differences: dict[str, Difference] = {}
        for name, change in zip(first.scores, of, strict=True):
            figure = interval(change)
            differences[name] = Difference(
                figure.mean, figure.low, figure.high, next(plain), next(corrected)
            )
        result.append(Comparison(other.name, differences))
    return result


def rows_of(
    systems: Sequence[System], queries: Mapping[str, str]
) -> list[dict[str, str | float | None]]:
    """One row for each query of each system: the query, and the value of each measure."""
    return [
        {
            "query_id": id_, "query": text, "target": system.name,
            **{name: float(values[place]) for name, values in system.scores.items()},
        }
        for system in systems
        for place, (id_, text) in enumerate(queries.items())
    ]  # fmt: skip
