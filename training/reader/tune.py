"""A reader trained on from another one's weights, on questions of several kinds as searches find passages.

::

    OUT.partial/     plan.sha256          what the rest was made for; another plan starts afresh
                     found/NAME-0/        passages of each sheet of questions      training.reader.distant
                     held/NAME-0/         the same of questions to choose by
                     checkpoint.pt        how far the training is                  training.loop
    OUT/             reader.onnx, reader.json, reliability.svg                     models.reader.reader
                     curve.csv, curve.svg                                          training.plot
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lurcher.bundle.bundle import Bundle
from lurcher.errors import FieldError, ModelError
from lurcher.models.reader.reader import Reader as Served
from lurcher.models.reader.reader import ReaderConfig, check_reader, load_reader_config
from lurcher.retrieval.snapshot import Snapshot
from lurcher.threads import available_cpus
from lurcher.training.compression.tensors import Inputs
from lurcher.training.epochs import Epochs
from lurcher.training.loop import Loop, Point, best_of
from lurcher.training.partial import begin, partial
from lurcher.training.plot import write_curve
from lurcher.training.reader.export import export_reader, inputs_of
from lurcher.training.reader.groups import Group, Groups, Source, group_loss
from lurcher.training.reader.network import Reader
from lurcher.training.reader.open_calibration import judge, write_calibration
from lurcher.training.reader.open_quality import MEASURE, OpenReading
from lurcher.training.reader.open_sources import Read, Sheet, open_source, read_sheet
from lurcher.training.reader.span_training import DECAY, in_bfloat16
from lurcher.training.reader.spans import Texts
from lurcher.training.reader.weights import restore
from lurcher.training.schedule import Schedule, adamw

# Questions that the ranges of INT8 are taken from.
_RANGED = 128


@dataclass(frozen=True, slots=True)
class TunePlan:
    """How a reader is trained on.

    At most ``questions`` of each sheet are learnt from, and ``held`` of each held one asked; ``doubt`` is as
    in ``group_loss``. ``kept`` is what the weights that it began with count in the mean of both that is the
    result (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models"): so what they did well is not
    forgotten for what is new.
    """

    questions: int | None = 20_000
    held: int = 400
    doubt: float = 0.05
    kept: float = 0.5
    schedule: Schedule = field(
        default_factory=lambda: Schedule(3_000, 16, learning_rate=3e-4, warmup=100, checks=6)
    )

    def __post_init__(self) -> None:
        if not 0 < self.doubt < 1:
            raise FieldError("doubt", f"must be above 0 and below 1, not {self.doubt}")
        if not 0 <= self.kept < 1:
            raise FieldError("kept", f"must be from 0 to below 1, not {self.kept}")


def tune(
    reader: Reader, groups: Groups, reading: OpenReading, plan: TunePlan, folder: Path,
    report: Callable[[Point], None] = lambda _: None,
) -> list[Point]:  # fmt: skip
    """The curve; ``reader`` is left with the mean weights that answer most of what ``reading`` asks.

    A checkpoint is written into ``folder`` at each check, from which a run goes on. Raises ModelError where
    the loss is no longer finite, OSError where a checkpoint cannot be written.
    """
    schedule = plan.schedule
    reader.train()
    loop = Loop(
        folder / "checkpoint.pt", reader, adamw(reader, schedule.learning_rate, DECAY), schedule.steps,
        schedule.every, MEASURE, schedule.rate, schedule.seed, schedule.mean, report=report,
    )  # fmt: skip
    epochs = Epochs(groups.lengths(), schedule.batch, schedule.seed)

    def loss(step: int) -> Tensor:
        drawn = groups.draw(epochs.at(step), np.random.default_rng((schedule.seed, step)))
        with in_bfloat16(reader.device):
            logits = drawn.logits(reader)
        return group_loss(logits, drawn.batch.groups, drawn.right, drawn.weak, plan.doubt)

    return loop.run(loss, reading.quality, untrained=lambda: reading.quality(reader.eval()))


def tune_reader(
    target: Path, start: Path, sheets: Sequence[Sheet], held: Sequence[Sheet], out: Path, plan: TunePlan,
    name: str | None = None, report: Callable[[str], None] = lambda _: None,
) -> ReaderConfig:  # fmt: skip
    """The reader now in the new folder ``out``: that of the folder ``start``, trained on.

    Questions of ``sheets`` are learnt from, those of ``held`` choose weights and calibrate; both are asked of
    the bundle at ``target``. ``name`` None is that of ``out``. A run that was killed goes on where it was
    when it is called again. Raises CorpusError, FieldError, ModelError, BundleError and ParityError; then
    there is no ``out``, and what is done is kept for a rerun.
    """
    with partial(out) as work, closing(Bundle.open(target)) as bundle:
        config = _tuned(bundle, start, sheets, held, name or out.name, work, plan, report)
        (work / "made").rename(out)
    return config


def _tuned(
    bundle: Bundle, start: Path, sheets: Sequence[Sheet], held: Sequence[Sheet], name: str, work: Path,
    plan: TunePlan, report: Callable[[str], None],
) -> ReaderConfig:  # fmt: skip
    """The reader in the folder ``made`` below ``work``."""
    store, tokens, seed = bundle.reading, bundle.tokens, plan.schedule.seed
    if store is None or tokens is None:
        reason = "has no reading store; `lurcher build --answers` makes a bundle that has"
        raise ModelError(f"{bundle.path}: {reason}")
    before = load_reader_config(start)
    check_reader(before, bundle.encoder)
    learnt = [read_sheet(sheet, plan.questions, seed) for sheet in sheets]
    asked = [read_sheet(sheet, plan.held, seed) for sheet in held]
    questions = [[one.name, one.asked.texts, one.asked.answers] for one in (*learnt, *asked)]
    begin(work, [asdict(plan), bundle.manifest.checksum, before.model_dump(), questions])
    texts = Texts(bundle)
    snapshot = Snapshot(bundle, available_cpus())

    def sources(what: str, reads: Sequence[Read]) -> list[Source]:
        return [
            open_source(work / what / f"{read.name}-{place}", bundle, snapshot, texts, read, report)
            for place, read in enumerate(reads)
        ]

    held_out = sources("held", asked)
    groups = Groups(sources("found", learnt), texts, store, tokens.coder)
    if not len(groups):
        raise FieldError("questions", "a search finds the answer of none of them")
    reader = restore(start)
    curve = tune(
        reader, groups, OpenReading(bundle, groups, held_out, plan.held), plan, work,
        lambda point: report(point.line(plan.schedule.steps)),
    )  # fmt: skip
    blend(reader, restore(start), plan.kept)
    config = before.model_copy(
        update={
            "name": name, "questions": len(groups), "steps": best_of(curve, MEASURE).step, "seed": seed,
            "calibration_corpus": bundle.manifest.corpus_hash,
        }
    )  # fmt: skip
    made = work / "made"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    export_reader(reader, config, made, _ranges(groups, seed))
    report("reading what searches for the held questions find")
    served = Served.load(made, available_cpus())
    config = write_calibration(
        made, [judge(bundle, served, texts.encoder, source) for source in held_out]
    )
    write_curve(curve, made)
    return config


def blend(reader: Reader, other: Reader, share: float) -> None:
    """Make the weights of ``reader`` means of its own and, counting ``share``, those of ``other``."""
    with torch.no_grad():
        for part, theirs in zip(reader.parameters(), other.parameters(), strict=True):
            part.lerp_(theirs, share)


def _ranges(groups: Groups, seed: int) -> list[Inputs]:
    """The graph's inputs for some questions, each with one passage that may answer it."""
    generator = np.random.default_rng(seed)
    found: list[Inputs] = []
    for example in generator.permutation(len(groups))[:_RANGED].tolist():
        picked = groups.pick(example, generator)
        read = groups.collate([Group(picked.text, picked.rows[:1], picked.spans[:1], False)]).batch
        found.append(inputs_of(read))
    return found
