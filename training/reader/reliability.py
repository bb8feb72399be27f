"""How probable answers are said to be, against how many are right: a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

_SIZE, _EDGE = 320, 48  # pixels
_BINS = 10


def write_reliability(
    scores: npt.NDArray[np.float64], right: npt.NDArray[np.float64], file: Path
) -> None:
    """Draw ``scores`` (n,) by tenths of the answers against the share of them that is ``right`` (n,).

    The diagonal is perfect calibration.
    """

    def place(said: float, is_right: float) -> tuple[float, float]:
        return _EDGE + said * _SIZE, _EDGE / 2 + (1 - is_right) * _SIZE

    parts = [part for part in np.array_split(np.argsort(scores, kind="stable"), _BINS) if len(part)]
    points = [place(float(scores[part].mean()), float(right[part].mean())) for part in parts]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    (left, bottom), (end, top) = place(0, 0), place(1, 1)
    whole = _SIZE + 2 * _EDGE
    shown = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole} {whole - _EDGE / 2}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{whole}" height="{whole}" fill="white"/>',
        f'<path d="M{left} {top}V{bottom}H{end}" fill="none" stroke="#999"/>',
        f'<path d="M{left} {bottom}L{end} {top}" stroke="#999" stroke-dasharray="4"/>',
        f'<polyline points="{line}" fill="none" stroke="#2563eb" stroke-width="2"/>',
        *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#2563eb"/>' for x, y in points),
        f'<text x="{(left + end) / 2}" y="{bottom + 32}" text-anchor="middle">said to be right</text>',
        f'<text transform="translate(14 {(top + bottom) / 2}) rotate(-90)" text-anchor="middle">'
        "right</text>",
        f'<text x="{left}" y="{bottom + 16}">0</text>',
        f'<text x="{end}" y="{bottom + 16}" text-anchor="end">1</text>',
        f'<text x="{left - 6}" y="{top + 10}" text-anchor="end">1</text>',
        "</svg>",
    ]
    file.write_text("\n".join(shown) + "\n")
