"""``python -m experiments.generality FOLDER=BUNDLE ...``: ranking on sets of many kinds, a row each.

nDCG@10 by vectors alone, ranked with the weights of each preset, and by the bundle's decoder, with 95 %
bootstrap intervals of the mean and of what each adds to the preset ``prose``. docs/generality.md shows it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import typer

import lurcher
from experiments.fusion import Found, candidates
from lurcher.collection import Collection
from lurcher.evaluation.judgements import Qrels, read_qrels, read_queries
from lurcher.evaluation.measures import Figure, interval, per_query
from lurcher.models.ranker.decoder import DecoderConfig
from lurcher.models.ranker.presets import PRESETS, Preset
from lurcher.retrieval.capabilities import LEXICAL_WEIGHT
from lurcher.retrieval.fusion import lexical_weight

PerQuery = npt.NDArray[np.float64]
Ranking = list[tuple[str, float]]

_MEASURE, _DEPTH = "nDCG@10", 100


def main(
    sets: Annotated[list[str], typer.Argument(metavar="FOLDER=BUNDLE")],
    split: Annotated[str, typer.Option(help="Whose judgements.")] = "test",
    half: Annotated[
        Literal["odd", "even"] | None,
        typer.Option(help="Only queries of such numbers, where a set has no development queries."),
    ] = None,
    limit: Annotated[int, typer.Option(help="Queries a set.")] = 1_000,
) -> None:
    """Print the table."""
    ways = ["dense", *PRESETS, "decoder"]
    typer.echo(f"| | queries | {' | '.join(ways)} |")
    typer.echo("|---" * (len(ways) + 2) + "|")
    for one in sets:
        folder, _, bundle = one.partition("=")
        qrels, texts = judged(Path(folder), split, half, limit)
        found = measured(Path(bundle), texts, qrels)
        base = found["prose"]
        cells = [
            _cell(found[way], None if way == "prose" else base) if way in found else ""
            for way in ways
        ]
        typer.echo(f"| {Path(folder).name} | {len(texts)} | {' | '.join(cells)} |")


def judged(folder: Path, split: str, half: str | None, limit: int) -> tuple[Qrels, dict[str, str]]:
    """The judgements of a BEIR folder, and the texts of at most ``limit`` queries that they are of."""
    qrels, texts = (
        read_qrels(folder / "qrels" / f"{split}.tsv"),
        read_queries(folder / "queries.jsonl"),
    )
    ids = [id_ for id_ in qrels if id_ in texts and any(g > 0 for g in qrels[id_].values())]
    if half is not None:
        ids = [id_ for id_ in ids if int(id_) % 2 == (half == "odd")]
    return qrels, {id_: texts[id_] for id_ in ids[:limit]}


def measured(bundle: Path, texts: dict[str, str], qrels: Qrels) -> dict[str, PerQuery]:
    """nDCG@10 (n,) of the queries ``texts`` by each way."""
    with lurcher.open(bundle) as collection:
        found = candidates(collection, bundle, list(texts.values()))
        rankings = {"dense": [ranking(one.documents, one.dense) for one in found]}
        for name, preset in PRESETS.items():
            rankings[name] = [ranking(one.documents, weighed(one, preset)) for one in found]
        if isinstance(collection.manifest.ranker, DecoderConfig):
            rankings["decoder"] = by_decoder(collection, list(texts.values()))
    ids = list(texts)
    return {way: per_query(ids, own, qrels)[_MEASURE] for way, own in rankings.items()}


def weighed(found: Found, preset: Preset) -> PerQuery:
    """The scores (C,) of one query's candidates by the weights of ``preset``."""
    of_corpus = LEXICAL_WEIGHT * max(0.0, found.gain) + preset.lexical
    return found.blend(preset.late) + lexical_weight(of_corpus, found.named) * found.lexical


def by_decoder(collection: Collection, queries: list[str]) -> list[Ranking]:
    """What the bundle's decoder ranks best for each of ``queries``."""
    results = collection.search_many(queries, _DEPTH, rank="decoder", neighbours="off")
    return [
        ranking([hit.passage.document for hit in one.hits], np.array([h.score for h in one.hits]))
        for one in results
    ]


def ranking(documents: list[str], scores: PerQuery) -> Ranking:
    """Documents by the best of ``scores`` (C,) of their passages."""
    best: dict[str, float] = {}
    for place in np.argsort(-scores, kind="stable").tolist():
        best.setdefault(documents[place], float(scores[place]))
    return list(best.items())[:_DEPTH]


def _cell(values: PerQuery, base: PerQuery | None) -> str:
    """The mean of ``values`` (n,) with its interval, and what they add to ``base``."""
    told = _with_interval(interval(values), "{:.3f}")
    return told if base is None else f"{told}, {_with_interval(interval(values - base), '{:+.3f}')}"


def _with_interval(figure: Figure, form: str) -> str:
    mean, low, high = (form.format(one) for one in (figure.mean, figure.low, figure.high))
    return f"{mean} [{low}, {high}]"


if __name__ == "__main__":
    typer.run(main)
