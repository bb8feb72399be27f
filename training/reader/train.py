"""``lurcher train reader``: a reader that finds answers in passages, from questions with answers.

::

    OUT.partial/     plan.sha256      what the rest was made for; another plan starts afresh
                     questions/       with candidates, as a search finds them   training.ranker.questions
                     development/     the same, to choose weights by
                                      both with lower.f16, states to read        training.reader.lower
                     checkpoint.pt    how far the training is                   training.loop
    OUT/             reader.onnx, reader.json                                   models.reader.reader
                     reliability.svg          of its probabilities              training.reader.reliability
                     curve.csv, curve.svg                                       training.plot
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from lurcher.bundle.bundle import Bundle
from lurcher.errors import ModelError
from lurcher.evaluation.answer_measures import read_answers
from lurcher.models.reader.reader import READER_FILE, ReaderConfig
from lurcher.models.reader.reader import Reader as Served
from lurcher.threads import available_cpus
from lurcher.training.device import check_device
from lurcher.training.loop import Point, best_of
from lurcher.training.partial import begin, partial
from lurcher.training.plot import write_curve
from lurcher.training.ranker.questions import Judged
from lurcher.training.ranker.train import Sources, mined, split
from lurcher.training.reader.batches import Library
from lurcher.training.reader.calibrate import Development, calibrate
from lurcher.training.reader.export import calibration_of, export_reader
from lurcher.training.reader.lower import LOWER, lower_states
from lurcher.training.reader.network import Reader, Shape
from lurcher.training.reader.quality import LONGEST, Reading
from lurcher.training.reader.reliability import write_reliability
from lurcher.training.reader.span_training import MEASURE, train
from lurcher.training.reader.spans import Texts, locate
from lurcher.training.schedule import Schedule

# Of what a search finds, what is read, or learnt to be wrong.
_KEPT = 10
# Questions that the ranges of INT8 are taken from.
_RANGED = 128
# Development questions that answers are calibrated on.
_CALIBRATED = 1_500


@dataclass(frozen=True, slots=True)
class Plan:
    """What a reader is to be, and how it is trained."""

    width: int = 256
    heads: int = 8
    layers: int = 3
    inner: int = 1_024
    schedule: Schedule = field(default_factory=lambda: Schedule(4_000, 24, warmup=200, checks=10))
    device: str = "cpu"

    def __post_init__(self) -> None:
        Shape(1, self.width, self.heads, self.layers, self.inner)  # raises
        check_device(self.device)


def train_reader(
    target: Path, sources: Sources, out: Path, plan: Plan, name: str | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> ReaderConfig:  # fmt: skip
    """The reader now in the new folder ``out``, for bundles of the encoder of the one at ``target``.

    ``name`` None is that of ``out``. A run that was killed goes on where it was when it is called again.
    Raises CorpusError, FieldError, ModelError, BundleError and ParityError; then there is no ``out``, and
    what is done is kept for a rerun.
    """
    with partial(out) as work, closing(Bundle.open(target)) as bundle:
        config = _train(bundle, sources, name or out.name, work, plan, report)
        (work / "made").rename(out)
    return config


def _train(
    bundle: Bundle, sources: Sources, name: str, work: Path, plan: Plan, report: Callable[[str], None]
) -> ReaderConfig:  # fmt: skip
    """The reader in the folder ``made`` below ``work``."""
    store, schedule = bundle.reading, plan.schedule
    if store is None:
        reason = "has no reading store; `lurcher build --answers` makes a bundle that has"
        raise ModelError(f"{bundle.path}: {reason}")
    training, development = split(bundle, sources, schedule.seed, schedule.steps * schedule.batch)
    answers = read_answers(sources.queries)
    held_answers = answers if sources.development is None else read_answers(sources.development[0])
    made_for: list[object] = [
        asdict(plan), bundle.manifest.checksum, asdict(training), asdict(development),
        [answers.get(id_) for id_ in training.ids], [held_answers.get(id_) for id_ in development.ids],
    ]  # fmt: skip
    begin(work, made_for)
    encoder, texts = bundle.query_encoder(available_cpus()), Texts(bundle)

    def library(what: str, judged: Judged, right: dict[str, list[str]]) -> Library:
        questions = mined(work / what, bundle, encoder, judged, _KEPT, report)
        answered = locate(bundle, texts, judged, questions, right)
        states = lower_states(work / what / LOWER, bundle, judged, questions)
        return Library(questions, states, answered, texts, store)

    held = library("development", development, held_answers)
    trained = library("questions", training, answers)
    torch.manual_seed(schedule.seed)
    reader = Reader(
        Shape(bundle.encoder.dimension, plan.width, plan.heads, plan.layers, plan.inner)
    )

    def tell(point: Point) -> None:
        report(point.line(schedule.steps))

    reading = Reading.of(bundle, held, development, held_answers)
    curve = train(
        reader, trained, reading.quality, schedule, work, device=torch.device(plan.device), report=tell
    )  # fmt: skip
    best = best_of(curve, MEASURE)
    config = ReaderConfig(
        name=name, encoder=bundle.encoder.fingerprint, dimension=len(store.coder.mean),
        bits=store.coder.bits, width=plan.width, heads=plan.heads, layers=plan.layers,
        inner=plan.inner, longest=LONGEST, rank_weight=0.0, slope=1.0, offset=0.0, min_score=0.0,
        questions=len(trained.answered), steps=best.step, seed=schedule.seed,
    )  # fmt: skip
    made = work / "made"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    export_reader(reader, config, made, calibration_of(trained, _RANGED, schedule.seed))
    report("reading what searches for the development questions find")
    config = calibrated(
        made, Development(bundle, held, development, held_answers), best.quality or {}
    )
    write_curve(curve, made)
    return config


def calibrated(folder: Path, development: Development, figures: dict[str, float]) -> ReaderConfig:
    """What the reader in ``folder`` says of itself from now on; ``figures`` are of passages that answer."""
    reader = Served.load(folder, available_cpus())
    longest = reader.config.longest
    read = development.read(reader, _KEPT, _CALIBRATED, reader.config.seed)
    found = calibrate(development, read, longest)
    config = reader.config.model_copy(
        update={
            "rank_weight": found.rank_weight, "slope": round(found.slope, 4),
            "offset": round(found.offset, 4), "min_score": found.min_score,
            "calibrated_on": f"{len(read):,} development questions on {development.manifest.name}",
            "calibration_corpus": development.manifest.corpus_hash,
            "figures": {
                **{f"gold_{name}": round(value, 4) for name, value in figures.items()},
                **{f"open_{name}": value for name, value in found.figures.items()},
            },
        }
    )  # fmt: skip
    (folder / READER_FILE).write_text(config.model_dump_json(indent=2) + "\n")
    write_reliability(found.scores, found.right, folder / "reliability.svg")
    return config
