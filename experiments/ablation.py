"""``python -m experiments.ablation``: which loss, which layers, how sparse; each cell trained the same way.

Every cell is one student aligned on the same few queries for the same number of steps, measured by
the mean share of the teacher's nDCG@10 kept on the development splits. The budget is small on
purpose: cells compare with each other, not with the students that ship. The best dense cell and the
best sparse one are trained with two more seeds, which shows how much of a difference is chance.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from matplotlib.figure import Figure
from rich.console import Console

from lurcher.training.alignment.make_student import MIX, Material, Plan, train
from lurcher.training.compression.sparsity import Pattern
from lurcher.training.plot import save_plot
from lurcher.training.students import shipped_material

_LOSSES: dict[str, dict[str, float]] = {
    "kl": {"kl": 1.0},
    "l2": {"l2": 1.0},
    "cosine": {"cosine": 1.0},
    "l2+scores": {"l2": 4.0, "scores": 2.0},
    "l2+tokens": MIX,
    "l2+tokens+scores": {**MIX, "scores": 2.0},
}
_LAYERS: tuple[tuple[int, ...], ...] = ((0,), (5,), (0, 5))
_SPARSE: tuple[tuple[float, Pattern], ...] = (
    (0.8, "unstructured"),
    (0.9, "unstructured"),
    (0.9, "4-block"),
)
_MORE_SEEDS = (1, 2)
_SETS = 2  # squad-open and NFCorpus, which have development splits


@dataclass(frozen=True)
class Cell:
    """One student of the table."""

    loss: str
    layers: str
    sparsity: str
    seed: int
    kept: float  # mean share of the teacher's nDCG@10


def main(
    bundles: Annotated[Path, typer.Option(help="SET.lurcher of each set to choose by.")],
    data: Annotated[Path, typer.Option(help="The data sets.")] = Path("../shared/data"),
    work: Annotated[Path, typer.Option(help="Where the teacher's targets are kept.")] = Path(
        "build/students"
    ),
    queries: Annotated[int, typer.Option(help="How many each cell is aligned on.")] = 3_200,
    out: Annotated[Path, typer.Option(help="The folder of the table and the plot.")] = Path(
        "docs/ablation"
    ),
) -> None:
    """Train every cell; write cells.jsonl, table.md and plot.svg, going on where a run ended."""
    console = Console()
    full = shipped_material(data, bundles, work)
    small = replace(
        full,
        targets=full.targets.sample(queries, 0),
        development=full.development[:_SETS],
        best=full.best[:_SETS],
    )
    out.mkdir(parents=True, exist_ok=True)
    file = out / "cells.jsonl"
    done = (
        [Cell(**json.loads(line)) for line in file.read_text().splitlines()]
        if file.exists()
        else []
    )

    def run(loss: str, plan: Plan) -> None:
        cell = _describe(loss, plan)
        if any(replace(known, kept=0.0) == cell for known in done):
            return
        with tempfile.TemporaryDirectory() as folder:
            kept = _train(plan, small, Path(folder))
        done.append(replace(cell, kept=round(kept, 4)))
        with file.open("a") as cells:
            cells.write(json.dumps(done[-1].__dict__) + "\n")
        console.print(done[-1])

    plans = list(_plans())
    for loss, plan in plans:
        run(loss, plan)
    for dense in (True, False):
        group = [(loss, plan) for loss, plan in plans if (plan.sparsity == 0) == dense]
        loss, plan = max(group, key=lambda pair: _found(done, _describe(*pair)))
        for seed in _MORE_SEEDS:
            run(loss, replace(plan, seed=seed))
    (out / "table.md").write_text(_table(done))
    _plot(done, out / "plot.svg")


def _plans() -> Iterator[tuple[str, Plan]]:
    common = Plan(rank=0, checks=2, learning_rate=2e-3, queries_a_batch=32)
    for layers in _LAYERS:
        for loss, weights in _LOSSES.items():
            yield loss, replace(common, layers=layers, losses=weights)
    for sparsity, pattern in _SPARSE:
        for loss in ("l2", "l2+tokens+scores"):
            yield (
                loss,
                replace(
                    common,
                    sparsity=sparsity,
                    pattern=pattern,
                    losses=_LOSSES[loss],
                    learning_rate=1e-3,
                ),
            )


def _train(plan: Plan, material: Material, folder: Path) -> float:
    return train(plan, material.original(), material, folder, lambda _: None)[1]


def _describe(loss: str, plan: Plan) -> Cell:
    """The cell of ``plan``, not measured yet."""
    layers = "all" if plan.layers is None else ",".join(map(str, plan.layers))
    sparsity = f"{plan.sparsity:.0%} {plan.pattern}" if plan.sparsity else "dense"
    return Cell(loss, layers, sparsity, plan.seed, 0.0)


def _found(done: list[Cell], cell: Cell) -> float:
    return next(known.kept for known in done if replace(known, kept=0.0) == cell)


def _table(cells: list[Cell]) -> str:
    lines = ["| layers | sparsity | loss | seed | nDCG@10 kept |", "|---|---|---|---|---|"]
    lines += [f"| {c.layers} | {c.sparsity} | {c.loss} | {c.seed} | {c.kept:.1%} |" for c in cells]
    return "\n".join(lines) + "\n"


def _plot(cells: list[Cell], file: Path) -> None:
    """Bars by loss for each shape of student, seed 0."""
    shapes = list(dict.fromkeys((c.layers, c.sparsity) for c in cells))
    figure = Figure(figsize=(9, 4))
    axes = figure.subplots()
    width = 0.8 / len(_LOSSES)
    for number, loss in enumerate(_LOSSES):
        found = {(c.layers, c.sparsity): c.kept for c in cells if c.loss == loss and c.seed == 0}
        at = [i for i, shape in enumerate(shapes) if shape in found]
        axes.bar(
            [i + number * width for i in at], [found[shapes[i]] for i in at], width, label=loss
        )
    axes.set_xticks([i + 0.4 - width / 2 for i in range(len(shapes))])
    axes.set_xticklabels([f"{layers}\n{sparsity}" for layers, sparsity in shapes], fontsize=8)
    axes.set_ylabel("share of nDCG@10 kept")
    axes.legend(fontsize=8)
    save_plot(figure, file)


if __name__ == "__main__":
    typer.run(main)
