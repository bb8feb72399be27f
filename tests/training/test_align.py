"""The training loop: what it minimises, what it keeps, and how it goes on after a kill."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("transformers", reason="the [train] extra is not installed")

import torch

from lurcher.errors import ModelError
from lurcher.models.encoders.encoder import Encoder
from lurcher.training.alignment import losses
from lurcher.training.alignment.align import MEASURE, Schedule, align, total_loss
from lurcher.training.alignment.student import Student
from lurcher.training.alignment.targets import Targets, batches
from lurcher.training.compression.layers import keep_layers
from lurcher.training.compression.sparsity import Pruner
from lurcher.training.loop import Point
from lurcher.training.original import load_original, read_recipe
from tests.killed import KilledError

Weights = dict[str, torch.Tensor]
L2 = {"l2": 1.0}
# Thirteen batches an epoch, and so 26 steps; measured at 8, 16, 24 and the last.
SCHEDULE = Schedule(epochs=2, queries_a_batch=7, learning_rate=1e-3, checks=3, seed=0)
CHECKS = [8, 16, 24, 26]
OFTEN = {"report_every": 3}


@pytest.fixture(scope="module")
def targets(
    teacher: Path, questions: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Targets:
    encoder = Encoder.load(teacher, "teacher", 1)
    passages = encoder.encode(questions[:70])
    folder = tmp_path_factory.mktemp("targets")
    return Targets.make(folder, encoder, questions[:95], passages)


@pytest.fixture
def student(original: Path) -> Callable[..., Student]:
    """Makes a student with some of the layers and its teacher's weights; the same each time."""

    def make(layers: tuple[int, ...] = (0, 1)) -> Student:
        source = load_original(read_recipe(original, None, None), 80)
        torch.manual_seed(0)
        return Student(keep_layers(source.model, layers), source.recipe, list(layers), rank=8)

    return make


def scripted(*values: float) -> Callable[[Student], float]:
    """A measure that finds these values in turn, and notes in ``seen`` the weights it found them for."""
    left: Iterator[float] = iter(values)

    def quality(now: Student) -> float:
        quality.seen.append(now.weights())  # type: ignore[attr-defined]  # a function's own note
        return next(left)

    quality.seen = []  # type: ignore[attr-defined]
    return quality


def same(a: Weights, b: Weights) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def pruner(now: Student, sparsity: float = 0.75) -> Pruner:
    return Pruner(now.transformer.encoder, sparsity, "unstructured")


def zeros(now: Student) -> list[float]:
    """The share of zeros in each matrix of the layers."""
    linear = [m for m in now.transformer.encoder.modules() if isinstance(m, torch.nn.Linear)]
    return [float((m.weight == 0).float().mean()) for m in linear]


def test_the_total_is_the_weighted_sum_of_what_was_named(
    targets: Targets, student: Callable[..., Student]
) -> None:
    (batch, *_) = batches(targets, 8, 0)
    passages = torch.from_numpy(np.random.default_rng(0).normal(size=(70, 32))).float()
    with torch.no_grad():
        vectors, states = student((0,))(batch.ids, batch.mask)
    one = {
        "kl": losses.coordinate_kl(vectors, batch.vectors),
        "l2": losses.l2(vectors, batch.vectors),
        "cosine": losses.cosine(vectors, batch.vectors),
        "tokens": losses.token_alignment(states, batch.states, batch.mask),
        "scores": losses.score_alignment(vectors, batch.vectors, passages[batch.rows]),
    }
    weights = {"kl": 3.0, "l2": 0.5, "cosine": 2.0, "tokens": 1.5, "scores": 0.25}
    found = total_loss(weights, batch, vectors, states, passages)
    assert found == pytest.approx(sum(weights[name] * float(one[name]) for name in weights))
    for name, wanted in one.items():
        assert wanted > 0
        assert total_loss({name: 2.0}, batch, vectors, states, passages) == pytest.approx(
            2 * wanted
        )
    with pytest.raises(ValueError, match="needs the passages"):
        total_loss({"scores": 1.0}, batch, vectors, states, None)
    with pytest.raises(ValueError, match="unknown loss hinge"):
        total_loss({"hinge": 1.0}, batch, vectors, states, None)


@pytest.mark.parametrize("layers", [(0,), ()])
def test_training_brings_the_student_nearer(
    targets: Targets, student: Callable[..., Student], tmp_path: Path, layers: tuple[int, ...]
) -> None:
    now, steps = student(layers), list[Point]()
    table = now.transformer.get_input_embeddings().weight.detach().clone()
    align(now, targets, L2, SCHEDULE, scripted(1, 2, 3, 4), tmp_path, report=steps.append)
    assert [step.step for step in steps] == CHECKS
    assert [step.quality for step in steps] == [{MEASURE: value} for value in (1, 2, 3, 4)]
    first, last = steps[0].loss, steps[-1].loss
    assert first is not None
    assert last is not None
    assert last < 0.85 * first
    # The vocabulary is its teacher's, shared on disk; a table has one of its own.
    same_table = torch.equal(now.transformer.get_input_embeddings().weight, table)
    assert same_table == bool(layers)
    assert now.correction is not None
    assert now.correction[0].weight.any()


def test_it_reports_between_checks(
    targets: Targets, student: Callable[..., Student], tmp_path: Path
) -> None:
    steps: list[Point] = []
    align(
        student(), targets, L2, SCHEDULE, scripted(1, 2, 3, 4), tmp_path,
        report=steps.append, report_every=5,
    )  # fmt: skip
    assert [step.step for step in steps if step.quality is None] == [5, 13, 21]


def test_the_best_weights_are_those_of_the_best_quality(
    targets: Targets, student: Callable[..., Student], tmp_path: Path
) -> None:
    now, quality = student((0,)), scripted(0.2, 0.9, 0.3, 0.8)
    assert align(now, targets, L2, SCHEDULE, quality, tmp_path) == 0.9
    seen: list[Weights] = quality.seen  # type: ignore[attr-defined]
    assert len(seen) == 4
    assert same(now.weights(), seen[1])
    assert not same(now.weights(), seen[3])


@pytest.mark.parametrize("epochs", [0.01, 0.2, 2])
def test_pruned_weights_have_the_share_asked_however_short_the_run(
    targets: Targets, student: Callable[..., Student], tmp_path: Path, epochs: float
) -> None:
    now = student()
    schedule = Schedule(epochs, 7, 1e-3, 3, 0)
    steps: list[Point] = []
    align(
        now, targets, L2, schedule, lambda _: 1.0, tmp_path,
        pruner=pruner(now), report=steps.append,
    )  # fmt: skip
    assert steps[-1].step == schedule.steps(len(targets)) == max(1, round(epochs * 13))
    assert zeros(now) == [0.75] * 12


def test_with_a_pruner_only_checks_at_the_final_sparsity_count(
    targets: Targets, student: Callable[..., Student], tmp_path: Path
) -> None:
    now, seen = student(), list[list[float]]()
    values = iter([0.9, 0.8, 0.3, 0.2])

    def quality(current: Student) -> float:
        seen.append(zeros(current))
        return next(values)

    best = align(now, targets, L2, SCHEDULE, quality, tmp_path, pruner=pruner(now))
    # The last stage begins at step 10 of 26: what was measured at step 8 was less sparse.
    assert seen[0] == pytest.approx([0.7] * 12, abs=1e-3)
    assert all(share == [0.75] * 12 for share in seen[1:])
    assert best == 0.8
    assert zeros(now) == [0.75] * 12


def run_and_kill(
    at: int, make: Callable[[], tuple[Student, Pruner | None]], targets: Targets, folder: Path
) -> tuple[Weights, float]:
    """The weights of a run that was killed once it had come to step ``at``, and went on."""

    def kill(step: Point) -> None:
        if step.step == at:
            raise KilledError

    now, masks = make()
    with pytest.raises(KilledError):
        align(now, targets, L2, SCHEDULE, quality_of, folder, pruner=masks, report=kill, **OFTEN)
    again, masks = make()
    best = align(again, targets, L2, SCHEDULE, quality_of, folder, pruner=masks, **OFTEN)
    return again.weights(), best


def quality_of(now: Student) -> float:
    """A measure that the weights decide and that does not only rise."""
    return float(now.head.weight.detach().double().sin().sum())


@pytest.mark.parametrize("sparse", [False, True])
def test_a_run_that_was_killed_ends_as_one_that_was_not(
    targets: Targets, student: Callable[..., Student], tmp_path: Path, sparse: bool
) -> None:
    def make() -> tuple[Student, Pruner | None]:
        now = student((0,))
        return now, pruner(now) if sparse else None

    def folder(name: str) -> Path:
        (tmp_path / name).mkdir()
        return tmp_path / name

    now, masks = make()
    best = align(now, targets, L2, SCHEDULE, quality_of, folder("whole"), pruner=masks, **OFTEN)
    # Before the first checkpoint, between two of them in both epochs, and as one is reported.
    for at in (3, 11, 16, 19):
        weights, reached = run_and_kill(at, make, targets, folder(f"killed-{at}"))
        assert same(weights, now.weights())
        assert reached == best


def test_a_run_that_has_ended_is_not_run_again(
    targets: Targets, student: Callable[..., Student], tmp_path: Path
) -> None:
    first, again = student((0,)), student((0,))
    best = align(first, targets, L2, SCHEDULE, scripted(1, 4, 2, 3), tmp_path)
    assert align(again, targets, L2, SCHEDULE, scripted(), tmp_path) == best == 4
    assert same(first.weights(), again.weights())


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(
    targets: Targets, student: Callable[..., Student], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    now, whole = student((0,)), student((0,))
    (tmp_path / "whole").mkdir()
    align(whole, targets, L2, SCHEDULE, quality_of, tmp_path / "whole")
    write, written = Path.write_bytes, list[Path]()

    def full(self: Path, content: Any) -> int:
        written.append(self)
        if len(written) == 2:
            write(self, bytes(content)[:1000])
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"No space left on device: .*checkpoint"):
        align(now, targets, L2, SCHEDULE, quality_of, tmp_path)
    monkeypatch.undo()
    again, steps = student((0,)), list[Point]()
    align(again, targets, L2, SCHEDULE, quality_of, tmp_path, report=steps.append)
    assert [step.step for step in steps] == CHECKS[1:]
    assert same(again.weights(), whole.weights())


def test_a_training_that_diverges_says_so(
    targets: Targets, student: Callable[..., Student], tmp_path: Path
) -> None:
    now = student((0,))
    with torch.no_grad():
        now.head.bias[0] = float("inf")
    with pytest.raises(ModelError, match=r"step 1: the loss is nan: training diverged; a lower"):
        align(now, targets, L2, SCHEDULE, scripted(), tmp_path)
    assert not (tmp_path / "checkpoint.pt").exists()
