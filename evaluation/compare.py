"""``lurcher compare``: which queries one target answers better than another, with the hits of both.

Without judgements nobody knows which is better; then it shows the queries whose first hits differ most, by
average overlap (Fagin, Kumar and Sivakumar 2003, "Comparing top k lists"): over the depths 1 to 10, the mean
share of hits that both have down to there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from lurcher.errors import InputError
from lurcher.evaluation.files import whole_file
from lurcher.evaluation.judgements import Qrels
from lurcher.evaluation.measures import DEPTH, Figure, interval
from lurcher.evaluation.missing import missing_queries, relevant_passages
from lurcher.evaluation.runs import Ranking, Run
from lurcher.evaluation.searchers import Searcher, Shown
from lurcher.evaluation.systems import (
    Difference,
    System,
    comparisons,
    found_nothing,
    lacking,
    system_of,
)

MEASURE = "nDCG@10"
OVERLAP = "average overlap"
# Hits that are shown and, without judgements, compared.
HITS = 10


class ShownHit(NamedTuple):
    """A hit at its ``place`` from 1, and where the other target has it.

    ``elsewhere`` is None where that is not among its first 100, ``grade`` where it was not judged, ``shown``
    where nobody could say what the hit is.
    """

    place: int
    id: str
    score: float
    elsewhere: int | None
    grade: int | None
    shown: Shown | None


@dataclass(frozen=True, slots=True)
class Changed:
    """A query, its value by each target's hits, and the first of these."""

    id: str
    text: str
    values: tuple[float, float] | None  # None without judgements
    change: float  # the second minus the first; without judgements, the overlap
    hits: tuple[list[ShownHit], list[ShownHit]]


@dataclass(frozen=True, slots=True)
class Compared:
    """Two targets, and the queries that got ``better`` and ``worse`` by the second, most changed first.

    Without judgements there are no ``figures``, and ``different`` has the queries whose hits differ most.
    ``changes`` has the change of every query, in falling order.
    """

    names: tuple[str, str]
    queries: int
    figures: dict[str, tuple[Figure, Figure, Difference]] = field(default_factory=dict)
    better: list[Changed] = field(default_factory=list)
    worse: list[Changed] = field(default_factory=list)
    different: list[Changed] = field(default_factory=list)
    changes: list[float] = field(default_factory=list, repr=False)
    warnings: tuple[str, ...] = ()

    def write_html(self, path: Path | str) -> None:
        """Write all of it to one page, which needs nothing from outside. Raises OSError."""
        from lurcher.evaluation.compare_page import page

        with whole_file(Path(path)) as partial:
            partial.write_text(page(self), encoding="utf-8")


def compare(
    targets: tuple[Searcher | Run, Searcher | Run], queries: Mapping[str, str] | None, qrels: Qrels | None,
    show: int = 10, limit: int | None = None,
) -> Compared:  # fmt: skip
    """How the second of ``targets`` differs from the first: ``show`` queries that got better, and worse.

    ``queries`` None is for two runs, which have ids alone. With ``qrels`` the judged queries count, else all;
    ``limit`` takes the first so many. Raises InputError where none is judged.
    """
    warnings: list[str] = []
    asked = _asked(targets, queries, qrels, limit, warnings)
    wanted = [] if qrels is None else relevant_passages(list(asked), qrels)
    systems: list[System] = []
    for target in targets:
        if wanted:
            warnings += lacking(target, wanted)
        systems.append(system_of(target, asked, qrels))
        if wanted:
            warnings += found_nothing(target, systems[-1], asked, wanted)
    first, second = systems
    names = (first.name, second.name)
    places = range(len(asked))
    if qrels is None:
        overlaps = [
            average_overlap(*pair) for pair in zip(first.rankings, second.rankings, strict=True)
        ]
        far = [i for i in sorted(places, key=lambda i: overlaps[i]) if overlaps[i] < 1][:show]
        different = _changed(far, overlaps, targets, systems, asked, {})
        return Compared(
            names, len(asked), different=different, changes=sorted(overlaps, reverse=True),
            warnings=tuple(warnings),
        )  # fmt: skip
    changes = [float(one) for one in second.scores[MEASURE] - first.scores[MEASURE]]
    order = sorted(places, key=lambda i: -changes[i])
    better = [i for i in order if changes[i] > 0][:show]
    worse = [i for i in reversed(order) if changes[i] < 0][:show]
    shown = _changed([*better, *worse], changes, targets, systems, asked, qrels)
    (tests,) = comparisons(first, [second])
    figures = {
        name: (interval(first.scores[name]), interval(second.scores[name]), difference)
        for name, difference in tests.differences.items()
    }
    return Compared(
        names, len(asked), figures, shown[: len(better)], shown[len(better) :], [],
        sorted(changes, reverse=True), tuple(warnings),
    )  # fmt: skip


def average_overlap(one: Ranking, other: Ranking) -> float:
    """The mean over depths of the share of hits that both have down to there; 1 where both are empty."""
    depth = min(HITS, max(len(one), len(other)))
    if not depth:
        return 1.0
    mine, theirs, total = set[str](), set[str](), 0.0
    for k in range(depth):
        mine |= {id_ for id_, _ in one[k : k + 1]}
        theirs |= {id_ for id_, _ in other[k : k + 1]}
        total += len(mine & theirs) / (k + 1)
    return total / depth


def _asked(
    targets: Sequence[Searcher | Run], queries: Mapping[str, str] | None, qrels: Qrels | None,
    limit: int | None, warnings: list[str],
) -> dict[str, str]:  # fmt: skip
    """The texts of the queries to compare by, or "" where there are only ids. Raises InputError."""
    runs = [target for target in targets if isinstance(target, Run)]
    if queries is None:
        if len(runs) < len(targets):
            raise InputError(
                "queries are needed: only two runs can be compared without their texts"
            )
        queries = {id_: "" for run in runs for id_ in run.rankings}
    if qrels is None:
        return dict(list(queries.items())[:limit])
    judged = [id_ for id_, grades in qrels.items() if any(g > 0 for g in grades.values())]
    if not judged:
        raise InputError("no judgement has a grade above 0")
    warnings += missing_queries(judged, queries)
    return dict([(id_, queries[id_]) for id_ in judged if id_ in queries][:limit])


def _changed(
    places: Sequence[int], changes: Sequence[float], targets: Sequence[Searcher | Run],
    systems: Sequence[System], asked: Mapping[str, str], qrels: Qrels,
) -> list[Changed]:  # fmt: skip
    """The queries at ``places``, with what their hits look like; a run's look like the other target's."""
    ids, texts = list(asked), list(asked.values())
    known: list[list[dict[str, Shown]]] = [
        [{} for _ in places]
        if isinstance(target, Run) or not places
        else target.shown([texts[i] for i in places], DEPTH)
        for target in targets
    ]
    found: list[Changed] = []
    for at, i in enumerate(places):
        looks = (known[1][at] | known[0][at], known[0][at] | known[1][at])
        rankings = [system.rankings[i] for system in systems]
        grades = qrels.get(ids[i], {})
        hits = (
            _hits(rankings[0], rankings[1], grades, looks[0]),
            _hits(rankings[1], rankings[0], grades, looks[1]),
        )
        scores = [system.scores.get(MEASURE) for system in systems]
        values = None
        if scores[0] is not None and scores[1] is not None:
            values = (float(scores[0][i]), float(scores[1][i]))
        found.append(Changed(ids[i], texts[i], values, changes[i], hits))
    return found


def _hits(
    ranking: Ranking, other: Ranking, grades: Mapping[str, int], looks: Mapping[str, Shown]
) -> list[ShownHit]:
    elsewhere = {id_: place for place, (id_, _) in enumerate(other, 1)}
    return [
        ShownHit(place, id_, score, elsewhere.get(id_), grades.get(id_), looks.get(id_))
        for place, (id_, score) in enumerate(ranking[:HITS], 1)
    ]
