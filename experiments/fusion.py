"""``python -m experiments.fusion FOLDER=BUNDLE ...``: ways to mix the lexical score into the ranked one.

Each query's candidates are those of both indexes, scored by all three (dense, lexical, maxsim); the ways
differ in nothing but what they make of these scores. The weights that ship were chosen by this table, on
development queries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import typer

import lurcher
from lurcher.bundle.bundle import ENCODER, SEGMENT
from lurcher.bundle.lexical_index import LexicalIndex
from lurcher.collection import Collection
from lurcher.evaluation.judgements import read_qrels, read_queries
from lurcher.evaluation.measures import per_query
from lurcher.models.encoders.encoder import Encoder
from lurcher.retrieval.capabilities import LEXICAL_WEIGHT
from lurcher.retrieval.fusion import lexical_weight
from lurcher.retrieval.names import named_share

Scores = npt.NDArray[np.float64]

_DEPTH = 100
_RANK_CONSTANT = 60  # of rank fusion (Cormack et al. 2009)


@dataclass(frozen=True, slots=True)
class Found:
    """The candidates of one query, by passage (C,), and what the query says of itself."""

    documents: list[str]
    dense: Scores
    lexical: Scores
    maxsim: Scores
    gain: float  # of the corpus, as its build measured it
    named: float

    def blend(self, late: float) -> Scores:
        """Dense and maxsim, which weighs ``late``."""
        return (1 - late) * self.dense + late * self.maxsim


Way = Callable[[Found], Scores]


def ranks(scores: Scores) -> Scores:
    """The place of each of ``scores`` (C,), the highest at 0."""
    places: Scores = np.argsort(np.argsort(-scores, kind="stable")).astype(np.float64)
    return places


def _spread(scores: Scores) -> Scores:
    """``scores`` (C,) from 0 to 1."""
    low, high = scores.min(), scores.max()
    spread: Scores = (scores - low) / max(high - low, 1e-9)
    return spread


def _dense_alone(found: Found) -> Scores:
    return np.where(ranks(found.dense) < _DEPTH, found.blend(0.75), -np.inf)


def _rank_fusion(found: Found) -> Scores:
    blend, lexical = ranks(found.blend(0.75)), ranks(found.lexical)
    return 1 / (_RANK_CONSTANT + 1 + blend) + 1 / (_RANK_CONSTANT + 1 + lexical)


def _min_max(found: Found) -> Scores:
    return 0.7 * _spread(found.blend(0.75)) + 0.3 * _spread(found.lexical)


def _over_the_best(found: Found) -> Scores:
    share: Scores = found.lexical / max(found.lexical.max(), 1e-9)
    return found.blend(0.75) + 0.1 * share


def _share(weight: float) -> Way:
    return lambda found: found.blend(0.75) + weight * found.lexical


def _by_corpus(found: Found) -> Scores:
    return found.blend(0.75) + LEXICAL_WEIGHT * max(0.0, found.gain) * found.lexical


def _by_both(late: float) -> Way:
    def way(found: Found) -> Scores:
        weight = lexical_weight(LEXICAL_WEIGHT * max(0.0, found.gain), found.named)
        return found.blend(late) + weight * found.lexical

    return way


WAYS: Mapping[str, Way] = {
    "candidates of dense alone": _dense_alone,
    "of both, no lexical score": _share(0),
    "rank fusion": _rank_fusion,
    "min-max, .7 and .3": _min_max,
    "over the query's best, .1": _over_the_best,
    "share of the query's words, .1": _share(0.1),
    "the same, .2": _share(0.2),
    "the same, .3": _share(0.3),
    "weight by corpus": _by_corpus,
    "weight by corpus and query": _by_both(0.75),
    "the same, maxsim .7 (ships)": _by_both(0.7),
    "the same, maxsim .65": _by_both(0.65),
}


def main(
    sets: Annotated[list[str], typer.Argument(metavar="FOLDER=BUNDLE")],
    split: Annotated[
        str, typer.Option(help="Whose judgements; of `train`, if there is no such.")
    ] = "dev",
    limit: Annotated[int, typer.Option(help="Queries a set.")] = 1_000,
) -> None:
    """Print a line for each way: nDCG@10 of each set, MRR@10 where each query has one relevant document."""
    columns: dict[str, dict[str, float]] = {}
    for one in sets:
        folder, _, bundle = one.partition("=")
        columns[Path(folder).name] = measured(Path(folder), Path(bundle), split, limit)
    typer.echo("| | " + " | ".join([*columns, "mean against the first"]) + " |")
    typer.echo("|---" * (len(columns) + 2) + "|")
    first = next(iter(WAYS))
    for way in WAYS:
        figures = [column[way] for column in columns.values()]
        change = np.mean([column[way] - column[first] for column in columns.values()])
        typer.echo(f"| {way} | {' | '.join(f'{f:.4f}' for f in figures)} | {change:+.4f} |")


def measured(folder: Path, bundle: Path, split: str, limit: int) -> dict[str, float]:
    """The figure of each way for the first ``limit`` judged queries of ``folder``."""
    file = folder / "qrels" / f"{split}.tsv"
    qrels = read_qrels(file if file.exists() else file.with_name("train.tsv"))
    texts = read_queries(folder / "queries.jsonl")
    ids = [id_ for id_ in qrels if id_ in texts and any(g > 0 for g in qrels[id_].values())][:limit]
    one_each = all(sum(g > 0 for g in qrels[id_].values()) == 1 for id_ in ids)
    measure = "MRR@10" if one_each else "nDCG@10"
    with lurcher.open(bundle) as collection:
        found = candidates(collection, bundle, [texts[id_] for id_ in ids])
    return {
        name: float(
            per_query(ids, [_ranking(one, way(one)) for one in found], qrels)[measure].mean()
        )
        for name, way in WAYS.items()
    }


def candidates(collection: Collection, bundle: Path, queries: list[str]) -> list[Found]:
    """What both indexes of the ``collection`` at ``bundle`` find for each of ``queries``, with all scores."""
    manifest, encoder = collection.manifest, Encoder.load(bundle / ENCODER, "query", 1)
    if manifest.lexical is None:
        raise typer.BadParameter(f"{bundle} has no lexical index")
    lexical = LexicalIndex.open(bundle, SEGMENT, manifest.lexical, manifest.passages)
    gain, found = manifest.figures.lexical_gain or 0.0, []
    for start in range(0, len(queries), 64):
        texts = queries[start : start + 64]
        results = collection.search_many(
            texts, 2 * _DEPTH, retrieve="hybrid", neighbours="off", rank="maxsim"
        )
        for text, result in zip(texts, results, strict=True):
            terms = lexical.look_up(lexical.analyser.query_terms(text))
            dense, words, late = (
                np.array([hit.scores[name] for hit in result.hits], np.float64)
                for name in ("dense", "lexical", "maxsim")
            )
            documents = [hit.passage.document for hit in result.hits]
            named = named_share(text, encoder.own_spans(text), terms)
            found.append(Found(documents, dense, words, late, gain, named))
    return found


def _ranking(found: Found, scores: Scores) -> list[tuple[str, float]]:
    """Documents by their best passage, those of score -inf left out."""
    best: dict[str, float] = {}
    for place in np.argsort(-scores, kind="stable").tolist():
        if np.isfinite(scores[place]):
            best.setdefault(found.documents[place], float(scores[place]))
    return list(best.items())[:_DEPTH]


if __name__ == "__main__":
    typer.run(main)
