"""A picture of how probable answers are to be right by their scores, against how many are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from lurcher.training.plot import save_plot

_BINS = 10


def write_reliability(
    scores: npt.NDArray[np.float64], right: npt.NDArray[np.float64], file: Path
) -> None:
    """Draw ``scores`` (n,), by tenths of the answers, against the share of them that is ``right`` (n,).

    The diagonal is perfect calibration.
    """
    parts = [part for part in np.array_split(np.argsort(scores, kind="stable"), _BINS) if len(part)]
    figure = Figure(figsize=(4, 4))
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], linestyle="--", linewidth=0.8, color="grey")
    axes.plot(
        [scores[part].mean() for part in parts], [right[part].mean() for part in parts],
        marker="o", gid="answers",
    )  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="score", ylabel="share that is right", aspect="equal")
    save_plot(figure, file)
