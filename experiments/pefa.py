"""``python -m experiments.pefa``: what known queries add, as published and as Lurcher uses them.

Each set's known queries are put into its bundle by ``lurcher adapt``, which tunes on development
queries; "ours" then goes through the server's own pipeline. The other rows score every passage
exactly. Their settings are tuned on at most 1,000 queries of the same development split (or on a fifth of
the known ones, where there is none), over the range that their authors tried; those marked "paper" take
the paper's own. Nothing is chosen on test queries.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Annotated

import faiss
import numpy as np
import typer
from matplotlib.figure import Figure
from rich.console import Console

from experiments.pefa_formulas import mix, nudge_scores, per_passage_weight, published_votes
from lurcher.bundle.bundle import ENCODER, Bundle
from lurcher.bundle.labels import Labels
from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors
from lurcher.evaluation.judgements import Qrels, read_qrels, read_queries
from lurcher.evaluation.measures import DEPTH, per_query
from lurcher.evaluation.searchers import SearchWith, open_searcher
from lurcher.index_builder.adapt import adapt
from lurcher.index_builder.judged.known import Known
from lurcher.index_builder.judged.labels import to_labels
from lurcher.index_builder.judged.qrels import read_judged
from lurcher.index_builder.neighbours import Judged, NeighbourOptions
from lurcher.index_builder.neighbours.splits import JudgedQueries, sample
from lurcher.index_builder.neighbours.sums import label_sums
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.neighbours.adapted import adapted_scores, unit
from lurcher.models.neighbours.votes import Votes
from lurcher.retrieval.query import NeighbourMode
from lurcher.threads import available_cpus
from lurcher.training.plot import save_plot

_MEASURES = ("nDCG@10", "Recall@10", "Recall@100")
_BLOCK = 256
_HELD_OUT = 0.2


@dataclass(frozen=True)
class _Set:
    """Whose queries are known, and who asks: splits of the data set ``name``, of the queries of ``texts``."""

    name: str
    bundle: str
    texts: str
    known: str
    development: str | None  # None: a fifth of the known ones
    tests: tuple[str, ...]
    keep_unseen: float = NeighbourOptions.keep_unseen


_SETS = (
    _Set("scifact", "scifact", "scifact", "train", None, ("test",)),
    _Set("nfcorpus", "nfcorpus", "nfcorpus", "train", "dev", ("test",)),
    # It is required that 99.5 % is kept on test-unseen; a little more leaves room for chance.
    _Set("squad-pefa", "squad-open", "squad-open", "known", "dev", ("test", "test-unseen"), 0.997),
)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    data: str
    method: str
    settings: str
    figures: dict[str, float]


@dataclass(frozen=True)
class _Judged:
    """Queries with their judgements."""

    ids: list[str]
    texts: list[str]
    vectors: Vectors
    qrels: Qrels


def main(
    bundles: Annotated[Path, typer.Option(help="Where SET.lurcher is.")] = Path("build"),
    data: Annotated[Path, typer.Option(help="The data sets.")] = Path("../shared/data"),
    out: Annotated[Path, typer.Option(help="The folder of the table and the plot.")] = Path(
        "docs/pefa"
    ),
    only: Annotated[str | None, typer.Option(help="One set alone.")] = None,
) -> None:
    """Measure every method on every set; write rows.json, table.md and plot.svg."""
    console = Console(width=140)
    rows: list[Row] = []
    for one in _SETS:
        if only in (None, one.name):
            for row in _measure(one, bundles, data):
                rows.append(row)
                console.print(_line(row), markup=False, highlight=False)
    out.mkdir(parents=True, exist_ok=True)
    (out / "rows.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    (out / "table.md").write_text(_table(rows))
    _plot(rows, out / "plot.svg")


def _measure(one: _Set, bundles: Path, data: Path) -> Iterator[Row]:
    queries, folder = data / one.texts / "queries.jsonl", data / one.name / "qrels"
    path = bundles / f"{one.bundle}.lurcher"
    known = read_judged(queries, folder / f"{one.known}.tsv")
    given = (
        () if one.development is None else read_judged(queries, folder / f"{one.development}.tsv")
    )
    texts = read_queries(queries)
    with closing(Bundle.open(path)) as bundle:
        encoder = Encoder.load(path / ENCODER, "teacher", available_cpus())
        ids = [passage.id for passage in bundle.passages.get(bundle.all_rows())]
        passages = bundle.vectors.stored()[0 : len(ids)]
        development, rest = given, known
        if not given:
            order = np.random.default_rng(0).permutation(len(known))
            cut = int(len(order) * _HELD_OUT)
            development, rest = [known[i] for i in order[:cut]], [known[i] for i in order[cut:]]
        judged = _judged(development, encoder)
        learnt = _Learnt.of(bundle, encoder, rest, passages)
        methods = {
            method: _best(candidates, learnt, judged, ids)
            for method, candidates in _METHODS.items()
        }
        learnt = _Learnt.of(bundle, encoder, known, passages)
    with tempfile.TemporaryDirectory(dir=bundles) as scratch:
        made = Path(scratch) / "adapted.lurcher"
        options = NeighbourOptions(keep_unseen=one.keep_unseen)
        _, manifest = adapt(path, Judged(known, given), options, made)
        settings = manifest.neighbours
        assert settings is not None  # noqa: S101 (it was just adapted)
        for split in one.tests:
            qrels = read_qrels(folder / f"{split}.tsv")
            judged_ids = [i for i, grades in qrels.items() if any(g > 0 for g in grades.values())]
            asking = [texts[i] for i in judged_ids]
            test = _Judged(judged_ids, asking, encoder.encode(asking), qrels)
            title = f"{one.name} {split}"
            for method, (label, score) in methods.items():
                yield Row(title, method, label, _figures(_ranked(learnt, test, score, ids), test))
            chosen: dict[NeighbourMode, str] = {
                "adapted": str(settings.adapted),
                "voting": str(settings.voting),
                "auto": settings.mode,
            }
            for mode in chosen:
                with open_searcher(str(made), SearchWith(mode, "off")) as searcher:
                    found = searcher.search(test.texts, DEPTH)
                yield Row(title, f"ours, {mode}", chosen[mode], _figures(found, test))


def _judged(queries: Sequence[Known], encoder: Encoder) -> _Judged:
    chosen = [queries[i] for i in sample(len(queries), 0)]
    qrels = {q.id: {p: max(1, round(w)) for p, w in q.labels.items()} for q in chosen}
    texts = [query.text for query in chosen]
    return _Judged([query.id for query in chosen], texts, encoder.encode(texts), qrels)


@dataclass(frozen=True)
class _Learnt:
    """Passages and known queries, with what every method needs of them."""

    passages: Vectors  # (n, d)
    known: Vectors  # (m, d)
    labels: Labels
    means: Vectors  # (n, d), zeros where nothing is known
    counts: Rows  # (n,) known queries of each passage
    agreement: Vectors  # (n,)

    @classmethod
    def of(
        cls, bundle: Bundle, encoder: Encoder, known: Sequence[Known], passages: Vectors
    ) -> _Learnt:
        """What ``known`` says of ``passages``, each label counting the same, as published."""
        queries, labels, _ = to_labels(known, bundle.passages.rows_of, False)
        labels = replace(labels, weights=np.ones_like(labels.weights))
        vectors = encoder.encode([query.text for query in queries])
        means = np.zeros_like(passages)
        labelled = np.unique(labels.rows)
        means[labelled] = unit(label_sums(JudgedQueries(vectors, labels), labelled))
        counts = np.bincount(labels.rows, minlength=len(passages))
        return cls(passages, vectors, labels, means, counts, (passages * means).sum(axis=1))


# What a method makes of queries (b, d): scores (b, n).
Score = Callable[[_Learnt, Vectors], Vectors]


def _bare(learnt: _Learnt, queries: Vectors) -> Vectors:
    return queries @ learnt.passages.T


def _published_xs(dense_weight: float) -> Score:
    def score(learnt: _Learnt, queries: Vectors) -> Vectors:
        mean = queries @ learnt.means.T
        return dense_weight * _bare(learnt, queries) + (1 - dense_weight) * mean

    return score


def _published_xl(dense_weight: float, k: int, mean: bool, first_stage: int = 500) -> Score:
    def score(learnt: _Learnt, queries: Vectors) -> Vectors:
        dense = _bare(learnt, queries)
        near, numbers = faiss.knn(queries, learnt.known, k, metric=faiss.METRIC_INNER_PRODUCT)
        places, owner = learnt.labels.places(numbers.ravel())
        rows, ones = learnt.labels.rows[places], learnt.labels.weights[places]
        cast = published_votes(Votes(near, numbers, owner, rows, ones, ones), mean)
        votes = np.bincount((owner // k) * dense.shape[1] + rows, cast, dense.size)
        # Published: a passage that the first stage does not find has a dense score of 0.
        least = -np.partition(-dense, first_stage, axis=1)[:, first_stage, None]
        kept = np.where(dense > least, dense, 0)
        return mix(kept, votes.reshape(dense.shape).astype(np.float32), dense_weight)

    return score


def _moved(formula: Callable[[_Learnt, Vectors, Vectors], Vectors]) -> Score:
    """Passages with known queries scored by ``formula`` of dense and mean scores; others as they are."""

    def score(learnt: _Learnt, queries: Vectors) -> Vectors:
        dense, mean = _bare(learnt, queries), queries @ learnt.means.T
        return np.where(learnt.counts > 0, formula(learnt, dense, mean), dense)

    return score


def _unit_xs(weight: float) -> Score:
    return _moved(lambda learnt, dense, mean: adapted_scores(dense, mean, learnt.agreement, weight))


def _xs_by_passage(strength: float) -> Score:
    def moved(learnt: _Learnt, dense: Vectors, mean: Vectors) -> Vectors:
        weights = per_passage_weight(strength, learnt.counts)
        return adapted_scores(dense, mean, learnt.agreement, weights)

    return _moved(moved)


def _nudge(reach: float) -> Score:
    return _moved(lambda learnt, dense, mean: nudge_scores(dense, mean, learnt.agreement, reach))


_WEIGHTS = (0.1, 0.3, 0.5, 0.7, 0.9)
_METHODS: dict[str, dict[str, Score]] = {
    "none": {"": _bare},
    "XS, paper": {"lambda .5": _published_xs(0.5)},
    "XS, published": {f"lambda {w}": _published_xs(w) for w in _WEIGHTS},
    "XL, paper": {"lambda .1, k 16, c 1/k": _published_xl(0.1, 16, True)},
    "XL, published": {
        f"lambda {w}, k {k}, c {'1/k' if mean else 1}": _published_xl(w, k, mean)
        for w, k, mean in product(_WEIGHTS, (4, 16, 64), (True, False))
    },
    "NUDGE-N": {f"reach {r}": _nudge(r) for r in (0.05, 0.1, 0.2, 0.4, 0.6, 0.8)},
    "XS, unit norm": {f"lambda {w}": _unit_xs(w) for w in _WEIGHTS},
    "XS, lambda by passage": {f"c {c}": _xs_by_passage(c) for c in (0.5, 1, 2, 4, 8, 16)},
}


def _ranked(
    learnt: _Learnt, judged: _Judged, score: Score, ids: Sequence[str]
) -> list[list[tuple[str, float]]]:
    rankings = []
    for start in range(0, len(judged.ids), _BLOCK):
        scores = score(learnt, judged.vectors[start : start + _BLOCK])
        top = np.argpartition(-scores, DEPTH, axis=1)[:, :DEPTH]
        order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1, kind="stable")
        rankings += [
            [(ids[row], 0.0) for row in rows] for rows in np.take_along_axis(top, order, axis=1)
        ]
    return rankings


def _figures(rankings: list[list[tuple[str, float]]], judged: _Judged) -> dict[str, float]:
    values = per_query(judged.ids, rankings, judged.qrels)
    return {name: round(float(values[name].mean()), 4) for name in _MEASURES}


def _best(
    candidates: dict[str, Score], learnt: _Learnt, judged: _Judged, ids: Sequence[str]
) -> tuple[str, Score]:
    """The one of ``candidates`` with the best nDCG@10 on ``judged``, with its settings."""
    if len(candidates) == 1:
        return next(iter(candidates.items()))
    return max(
        candidates.items(),
        key=lambda pair: _figures(_ranked(learnt, judged, pair[1], ids), judged)["nDCG@10"],
    )


def _line(row: Row) -> str:
    figures = "  ".join(f"{value:.4f}" for value in row.figures.values())
    return f"{row.data:<24} {row.method:<24} {figures}  {row.settings}"


def _table(rows: Sequence[Row]) -> str:
    lines = [
        "| data | method | settings | " + " | ".join(_MEASURES) + " |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        figures = " | ".join(f"{row.figures[name]:.4f}" for name in _MEASURES)
        lines.append(f"| {row.data} | {row.method} | {row.settings} | {figures} |")
    return "\n".join(lines) + "\n"


def _plot(rows: Sequence[Row], file: Path) -> None:
    """What each method adds to nDCG@10, a panel for each set."""
    data = list(dict.fromkeys(row.data for row in rows))
    figure = Figure(figsize=(4 * len(data), 4))
    panels = figure.subplots(1, len(data), squeeze=False)
    for panel, name in zip(panels[0], data, strict=True):
        own = [row for row in rows if row.data == name]
        bare = own[0].figures["nDCG@10"]
        gains = [row.figures["nDCG@10"] - bare for row in own[1:]]
        panel.barh([row.method for row in own[1:]], gains)
        panel.axvline(0, color="black", linewidth=0.8)
        panel.set_title(f"{name}\n(none: {bare:.3f})", fontsize=9)
        panel.set_xlabel("nDCG@10 against none")
        panel.invert_yaxis()
    for panel in panels[0][1:]:
        panel.set_yticklabels([])
    save_plot(figure, file)


if __name__ == "__main__":
    typer.run(main)
