"""A training's curve as a table and as a picture, and how pictures are saved."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from lurcher.training.loop import Point


def save_plot(figure: Figure, file: Path) -> None:
    """Write ``figure`` as SVG, the same bytes for the same figures."""
    figure.tight_layout()
    with matplotlib.rc_context({"svg.hashsalt": "lurcher"}):
        figure.savefig(file, format="svg", metadata={"Date": None})


def write_curve(curve: Sequence[Point], folder: Path) -> None:
    """Write ``curve.csv`` and ``curve.svg`` into ``folder``."""
    names = list(next((point.quality for point in curve if point.quality), {}))
    with (folder / "curve.csv").open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["step", "loss", *names])
        for point in curve:
            found = point.quality or {}
            values = [point.loss, *(found.get(name) for name in names)]
            rows.writerow([point.step, *("" if v is None else f"{v:.5f}" for v in values)])
    figure = Figure(figsize=(7, 5))
    losses, quality = figure.subplots(2, sharex=True)
    losses.plot(*_line(curve, [point.loss for point in curve]))
    losses.set_ylabel("loss")
    for name in names:
        values = [point.quality[name] if point.quality else None for point in curve]
        quality.plot(*_line(curve, values), marker=".", label=name)
    quality.set_xlabel("step")
    quality.set_ylabel("development quality")
    if names:
        quality.legend(fontsize=8)
    save_plot(figure, folder / "curve.svg")


def _line(curve: Sequence[Point], values: Sequence[float | None]) -> tuple[list[int], list[float]]:
    """The steps at which there is a value, and the values."""
    known = [(p.step, v) for p, v in zip(curve, values, strict=True) if v is not None]
    return [step for step, _ in known], [value for _, value in known]
