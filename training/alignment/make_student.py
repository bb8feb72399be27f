"""One student from start to finish: trained, exported, measured, described."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from lurcher.errors import FieldError
from lurcher.models.encoders.config import load_config
from lurcher.models.encoders.encoder import Encoder, Vectors
from lurcher.models.encoders.merge import merge
from lurcher.models.encoders.student import (
    QUERY_GRAPH,
    STUDENT_FILE,
    Activations,
    Figure,
    StudentConfig,
)
from lurcher.models.encoders.tokenizer import length_buckets, pad
from lurcher.threads import available_cpus
from lurcher.training.alignment.align import LOSSES, Schedule, align
from lurcher.training.alignment.development import Development
from lurcher.training.alignment.export import Quantize, export_student
from lurcher.training.alignment.ridge import start_head
from lurcher.training.alignment.student import Student
from lurcher.training.alignment.targets import Targets, batches
from lurcher.training.compression.int8 import quantize_int8
from lurcher.training.compression.int8_static import quantize_static_int8
from lurcher.training.compression.layers import both_ends, count_layers, keep_layers
from lurcher.training.compression.sparsity import Pattern, Pruner, check_sparsity
from lurcher.training.device import check_device
from lurcher.training.original import Original

# The mix that kept most in `python -m experiments.ablation` of those that need no index.
MIX = {"l2": 4.0, "tokens": 1.0}
_CALIBRATION = 512  # queries
_TOKENS = 2_048  # a batch, when encoding to measure

Report = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What a student is to be, and how it is trained.

    ``layers`` are the teacher's to keep; None takes ``depth`` of them from both ends, or all.
    ``rank`` is of the vocabulary's correction, 0 for none; ``losses`` gives each loss's weight.
    """

    layers: tuple[int, ...] | None = None
    depth: int | None = None
    sparsity: float = 0.0
    pattern: Pattern = "unstructured"
    rank: int = 32
    int8: bool = True
    losses: Mapping[str, float] = field(default_factory=lambda: dict(MIX))
    epochs: float = 1.0
    queries_a_batch: int = 64
    learning_rate: float = 2e-3
    checks: int = 5
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_sparsity(self.sparsity)
        if self.layers is not None and self.depth is not None:
            raise FieldError("depth", "goes without layers: name the layers, or how many")
        if not self.losses:
            raise FieldError("losses", f"none; there are: {', '.join(LOSSES)}")
        for name, weight in self.losses.items():
            if name not in LOSSES:
                raise FieldError("losses", f"no loss {name!r}; there are: {', '.join(LOSSES)}")
            _check_positive("losses", weight)
        if self.rank < 0:
            raise FieldError("rank", f"must be at least 0, not {self.rank}")
        _check_positive("epochs", self.epochs)
        _check_positive("learning_rate", self.learning_rate)
        _check_positive("batch", self.queries_a_batch)
        _check_positive("checks", self.checks)
        if self.seed < 0:
            raise FieldError("seed", f"must not be below 0, as {self.seed} is")
        check_device(self.device)

    def kept(self, layers: int) -> list[int]:
        """The numbers of the layers to keep, of ``layers``. Raises FieldError."""
        if self.layers is not None:
            return list(self.layers)
        return both_ends(layers if self.depth is None else self.depth, layers)


def _check_positive(field: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise FieldError(field, f"must be above 0 and finite, not {value}")


@dataclass(frozen=True)
class Material:
    """What students of one teacher are made of: it can be used for many."""

    teacher: Path  # the encoder's folder
    encoder: Encoder  # the same, reading queries
    original: Callable[[], Original]  # its weights, loaded anew for each student
    targets: Targets
    passages: Vectors | None  # (m, d) float32, for score alignment
    development: Sequence[Development]
    best: Sequence[float]  # what the teacher reaches on each


def material(
    teacher: Path, encoder: Encoder, original: Callable[[], Original], targets: Targets,
    passages: Vectors | None, development: Sequence[Development],
) -> Material:  # fmt: skip
    """The material, with the teacher measured on the development sets."""
    best = [data.quality(encoder.encode) for data in development]
    return Material(teacher, encoder, original, targets, passages, development, best)


def make_student(name: str, plan: Plan, material: Material, work: Path, report: Report) -> Path:
    """The folder below ``work`` with the finished student ``name``.

    Goes on from the checkpoint in ``work``, if there is one. Raises FieldError, ModelError, ParityError
    and OSError.
    """
    source = material.original()
    student, _ = train(plan, source, material, work, report)
    student.cpu()
    calibration = [
        {"input_ids": batch.ids.numpy(), "attention_mask": batch.mask.numpy().astype(np.int64)}
        for batch in batches(material.targets.sample(_CALIBRATION, plan.seed), 16, plan.seed)
    ]
    ways: dict[Activations, Quantize | None] = {"fp32": None}
    if plan.int8:
        # The faster first: it is kept if the other measures no better.
        ways = {
            "static": lambda graph: quantize_static_int8(graph, calibration),
            "dynamic": quantize_int8,
        }
    tried = []
    for activations, quantize in ways.items():
        made = work / "made" / activations
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        export_student(student, source, material.teacher, made / QUERY_GRAPH, quantize)
        config = _describe(name, plan, student, material, activations)
        figures = _measured(made, config, material)
        _write(made, config.model_copy(update={"figures": figures}))
        kept = share_kept([figure.retention for figure in figures])
        report(f"{activations} activations: development quality kept {kept:.4f}")
        tried.append((kept, made))
    return max(tried, key=lambda pair: pair[0])[1]


def share_kept(shares: Sequence[float]) -> float:
    """What students are chosen by: halfway between the mean and the lowest of what each set keeps.

    By the mean alone a kind of text that few sets have would be given up.
    """
    return (float(np.mean(shares)) + min(shares)) / 2


def _describe(
    name: str, plan: Plan, student: Student, material: Material, activations: Activations
) -> StudentConfig:
    teacher = load_config(material.teacher)
    return StudentConfig(
        name=name, teacher=teacher.fingerprint, dimension=teacher.dimension, layers=student.layers,
        sparsity=plan.sparsity, pattern=plan.pattern, rank=plan.rank,
        precision="int8" if plan.int8 else "fp32",
        activations=activations, losses=dict(plan.losses), queries=len(material.targets),
        seed=plan.seed, figures=[],
    )  # fmt: skip


def _measured(made: Path, config: StudentConfig, material: Material) -> list[Figure]:
    """What the exported graph keeps, run as it will be used."""
    _write(made, config)
    with tempfile.TemporaryDirectory(prefix=".merged.", dir=made) as folder:
        merge(material.teacher, made, Path(folder) / "encoder")
        encode = Encoder.load(Path(folder) / "encoder", "query", available_cpus()).encode
        return [
            Figure(data=d.name, measure=d.measure, teacher=best, student=d.quality(encode))
            for d, best in zip(material.development, material.best, strict=True)
        ]


def untrained(plan: Plan, source: Original) -> tuple[Student, Pruner | None]:
    """A student of the shape that ``plan`` wants, with its teacher's weights, and what prunes it.

    ``source`` is used up: its model becomes the student's. Raises FieldError for a shape that cannot
    be made of that model, ModelError for an architecture that is not known.
    """
    layers = plan.kept(count_layers(source.model))
    if plan.sparsity and not layers:
        raise FieldError("sparsity", "a token table has no layers to prune")
    kept = keep_layers(source.model, layers)
    student = Student(kept, source.recipe, layers, plan.rank).to(plan.device)
    pruner = Pruner(student.transformer, plan.sparsity, plan.pattern) if plan.sparsity else None
    return student, pruner


def train(
    plan: Plan, source: Original, material: Material, folder: Path, report: Report
) -> tuple[Student, float]:
    """A student trained as ``plan`` says, and the share of the teacher's quality it keeps.

    ``source`` is used up: its model becomes the student's. Checkpoints are kept in ``folder``.
    Raises FieldError, ModelError and OSError, as ``untrained`` and ``align`` do.
    """
    torch.manual_seed(plan.seed)
    count = count_layers(source.model)
    student, pruner = untrained(plan, source)
    # With all layers the features are the teacher's, and no head is the best start.
    if len(student.layers) < count:
        start_head(student, material.targets, plan.seed)
    passages = None
    if "scores" in plan.losses and material.passages is not None:
        passages = torch.from_numpy(material.passages).to(plan.device)

    def quality(now: Student) -> float:
        encode = encode_by(now, material.encoder)
        pairs = zip(material.development, material.best, strict=True)
        return share_kept([data.quality(encode) / max(best, 1e-9) for data, best in pairs])

    schedule = Schedule(
        plan.epochs, plan.queries_a_batch, plan.learning_rate, plan.checks, plan.seed
    )
    steps = schedule.steps(len(material.targets))
    best = align(
        student, material.targets, plan.losses, schedule, quality, folder,
        passages=passages, pruner=pruner, report=lambda point: report(point.line(steps)),
    )  # fmt: skip
    return student, best


def _write(folder: Path, config: StudentConfig) -> None:
    (folder / STUDENT_FILE).write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")


def encode_by(student: Student, encoder: Encoder) -> Callable[[Sequence[str]], Vectors]:
    """How ``student`` encodes texts, in torch, tokenised as ``encoder`` does."""

    def encode(texts: Sequence[str]) -> Vectors:
        tokens = encoder.tokenise(texts)
        vectors = np.zeros((len(texts), encoder.config.dimension), np.float32)
        device = student.head.weight.device
        with torch.inference_mode():
            for rows in length_buckets([len(t.ids) for t in tokens], _TOKENS):
                ids, mask = (
                    torch.from_numpy(a).to(device) for a in pad([tokens[i].ids for i in rows])
                )
                vectors[rows] = student(ids, mask.float())[0].cpu().numpy()
        return vectors

    return encode
