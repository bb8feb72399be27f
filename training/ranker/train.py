"""``lurcher train ranker``: a decoder that ranks better than late interaction, from judged queries.

::

    OUT.partial/     plan.sha256      what the rest was made for; another plan starts afresh
                     questions/       with candidates and scores          training.ranker.questions
                     development/     the same, to choose weights by
                     checkpoint.pt    how far the training is             training.loop
    OUT/             query.onnx, pair.onnx, decoder.json                  models.ranker.decoder
                     curve.csv, curve.svg                                 training.plot
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from lurcher.bundle.bundle import Bundle
from lurcher.errors import CorpusError, FieldError
from lurcher.evaluation.judgements import read_qrels, read_queries
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.ranker.decoder import DecoderConfig
from lurcher.threads import available_cpus
from lurcher.training.device import check_device
from lurcher.training.loop import Point, best_of
from lurcher.training.partial import begin, partial
from lurcher.training.plot import write_curve
from lurcher.training.ranker.batches import TeacherScores
from lurcher.training.ranker.cross_scores import read_cross_scores
from lurcher.training.ranker.decoder_training import MEASURE, Schedule, train
from lurcher.training.ranker.export import export_decoder
from lurcher.training.ranker.network import Decoder, Shape
from lurcher.training.ranker.questions import Judged, Questions, judged, token_store

# What the first stage finds, as in a search.
_DEPTH = 100
# Development questions, at most; where there are none a tenth of the others is held out, at most so many.
_DEVELOPMENT, _HELD_OUT = 1_000, 500
_FEWEST = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """What a decoder is to be, and how it is trained; ``candidates`` are the best by late interaction."""

    width: int = 64
    heads: int = 4
    layers: int = 1
    crossings: int = 1
    dropout: float = 0.1
    candidates: int = 50
    schedule: Schedule = field(default_factory=Schedule)
    device: str = "cpu"

    def __post_init__(self) -> None:
        Shape(1, 8, self.width, self.heads, self.layers, self.crossings)  # raises
        if not 0 <= self.dropout < 1:
            raise FieldError("dropout", f"must be from 0 to below 1, not {self.dropout}")
        if not 2 <= self.candidates <= _DEPTH:
            raise FieldError("candidates", f"must be from 2 to {_DEPTH}, not {self.candidates}")
        check_device(self.device)


@dataclass(frozen=True, slots=True)
class Sources:
    """Files of judged queries, and of what a cross-encoder scores them."""

    queries: Path
    qrels: Path
    development: tuple[Path, Path] | None = None  # queries and judgements
    cross_scores: Path | None = None
    skip_unknown: bool = False


def train_ranker(
    target: Path, sources: Sources, out: Path, plan: Plan, report: Callable[[str], None] = lambda _: None,
    name: str | None = None,
) -> DecoderConfig:  # fmt: skip
    """The decoder now in the new folder ``out``, for bundles whose tokens are coded as those at ``target``.

    It is called ``name``, None: as ``out`` is. A run that was killed goes on where it was when it is called
    again. Raises CorpusError, FieldError, ModelError, BundleError and ParityError; then there is no ``out``,
    and what is done is kept for a rerun.
    """
    if name is not None and not name.strip():
        raise FieldError("name", "must hold more than white space")
    with partial(out) as work, closing(Bundle.open(target)) as bundle:
        config = _train(bundle, sources, name or out.name, work, plan, report)
        (work / "made").rename(out)
    return config


def _train(
    bundle: Bundle, sources: Sources, name: str, work: Path, plan: Plan, report: Callable[[str], None]
) -> DecoderConfig:  # fmt: skip
    """The decoder in the folder ``made`` below ``work``."""
    store, schedule = token_store(bundle), plan.schedule
    training, development = split(bundle, sources, schedule.seed, schedule.steps * schedule.batch)
    made_for: list[object] = [
        asdict(plan),
        bundle.manifest.checksum,
        asdict(training),
        asdict(development),
    ]
    if sources.cross_scores is not None:
        made_for.append(hashlib.sha256(sources.cross_scores.read_bytes()).hexdigest())
    begin(work, made_for)
    encoder = bundle.query_encoder(available_cpus())

    held, trained = (
        mined(work / what, bundle, encoder, these, plan.candidates, report)
        for what, these in (("development", development), ("questions", training))
    )
    teacher = _teacher_scores(sources, bundle, training, trained)
    dimension = bundle.encoder.dimension
    shape = Shape(dimension, store.coder.bits, plan.width, plan.heads, plan.layers, plan.crossings)
    torch.manual_seed(schedule.seed)
    decoder = Decoder(shape, plan.dropout)

    def tell(point: Point) -> None:
        report(point.line(schedule.steps))

    curve = train(
        decoder, trained, held, store, schedule, work,
        teacher_scores=teacher, device=torch.device(plan.device), report=tell,
    )  # fmt: skip
    first, best = curve[0], best_of(curve, MEASURE)
    figures = {
        measure: (value, (best.quality or {})[measure])
        for measure, value in (first.quality or {}).items()
    }
    config = DecoderConfig(
        name=name, encoder=bundle.encoder.fingerprint, projection_hash=store.coder.projection_hash,
        bits=shape.bits, dimension=dimension, width=plan.width, heads=plan.heads,
        layers=plan.layers, crossings=plan.crossings, candidates=plan.candidates,
        questions=len(trained), steps=best.step, seed=schedule.seed, figures=figures,
    )  # fmt: skip
    if not best.step:
        report(
            "nothing learnt did better on the development queries: it ranks as late interaction does"
        )
    made = work / "made"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    export_decoder(decoder, config, made)
    write_curve(curve, made)
    return config


def mined(
    folder: Path, bundle: Bundle, encoder: Encoder, judged: Judged, keep: int, report: Callable[[str], None]
) -> Questions:  # fmt: skip
    """The questions of ``judged`` with their ``keep`` best candidates; made in ``folder`` unless there."""
    with suppress(FileNotFoundError):
        return Questions.open(folder, bundle)
    shutil.rmtree(folder, ignore_errors=True)
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        report(f"{folder.name}: {done:,} of {len(judged):,} searched")

    return Questions.make(folder, bundle, encoder, judged, _DEPTH, keep, count)


def split(bundle: Bundle, sources: Sources, seed: int, most: int) -> tuple[Judged, Judged]:
    """At most so many questions to train on, and those to choose weights by."""
    found = judged(
        bundle, read_queries(sources.queries), read_qrels(sources.qrels), sources.qrels,
        sources.skip_unknown,
    )  # fmt: skip
    order = np.random.default_rng(seed).permutation(len(found))
    if sources.development is None:
        size = min(_HELD_OUT, max(1, len(found) // 10))
        held, order = found.take(np.sort(order[:size])), order[size:]
    else:
        queries, qrels = sources.development
        held = judged(bundle, read_queries(queries), read_qrels(qrels), qrels, sources.skip_unknown)
        some = np.random.default_rng(seed).permutation(len(held))[:_DEVELOPMENT]
        held = held.take(np.sort(some))
        known = set(held.texts)
        order = order[[found.texts[place] not in known for place in order.tolist()]]
    order = order[:most]
    if len(order) < _FEWEST:
        reason = f"{len(order)} judged queries are left to train on; {_FEWEST} at least"
        raise FieldError("queries", reason)
    return found.take(np.sort(order)), held


def _teacher_scores(
    sources: Sources, bundle: Bundle, training: Judged, questions: Questions
) -> TeacherScores | None:
    """The cross-encoder's scores of rows, by question's number; None without a file of it."""
    if sources.cross_scores is None:
        return None
    by_query = read_cross_scores(sources.cross_scores)
    rows = bundle.passages.rows_of(list({p for scores in by_query.values() for p in scores}))
    teacher_scores: TeacherScores = {}
    for number, place in enumerate(questions.kept.tolist()):
        scores = by_query.get(training.ids[place], {})
        known = {rows[passage]: score for passage, score in scores.items() if passage in rows}
        if known:
            teacher_scores[number] = known
    if not teacher_scores:
        reason = f"no score of a query to train on and a passage of {bundle.path}"
        raise CorpusError(sources.cross_scores, None, reason)
    return teacher_scores
