"""A training's curve as a table and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lurcher.training.loop import Point

_WIDTH, _HEIGHT, _EDGE, _GAP = 640, 200, 60, 50  # pixels
_COLOURS = ("#2563eb", "#d97706")


def write_curve(curve: Sequence[Point], folder: Path) -> None:
    """Write ``curve.csv`` and ``curve.svg`` into ``folder``."""
    names = list(next((point.quality for point in curve if point.quality), {}))
    lines = [",".join(["step", "loss", *names])]
    for point in curve:
        found = point.quality or {}
        values = [point.loss, *(found.get(name) for name in names)]
        cells = ["" if value is None else f"{value:.5f}" for value in values]
        lines.append(",".join([str(point.step), *cells]))
    (folder / "curve.csv").write_text("\n".join(lines) + "\n")
    quality = {
        name: [(p.step, p.quality[name]) for p in curve if p.quality is not None] for name in names
    }
    losses = [(p.step, p.loss) for p in curve if p.loss is not None]
    last = max(1, curve[-1].step)
    height = 2 * (_HEIGHT + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        *_panel({"loss": losses}, last, 0),
        *_panel(quality, last, _HEIGHT + _GAP),
        "</svg>",
    ]
    (folder / "curve.svg").write_text("\n".join(parts) + "\n")


def _panel(lines: dict[str, list[tuple[int, float]]], last: int, top: int) -> list[str]:
    """The ``lines`` by name, drawn from the pixel row ``top`` on; steps go up to ``last``."""
    values = [value for line in lines.values() for _, value in line] or [0.0]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    bottom = top + _HEIGHT

    def place(step: int, value: float) -> str:
        x = _EDGE + step / last * (_WIDTH - _EDGE - 20)
        return f"{x:.1f},{bottom - (value - low) / span * (_HEIGHT - 30):.1f}"

    parts = [
        f'<path d="M{_EDGE} {top + 20}V{bottom}H{_WIDTH - 20}" fill="none" stroke="#999"/>',
        f'<text x="{_EDGE - 6}" y="{top + 34}" text-anchor="end">{high:.3f}</text>',
        f'<text x="{_EDGE - 6}" y="{bottom}" text-anchor="end">{low:.3f}</text>',
        f'<text x="{_WIDTH - 20}" y="{bottom + 16}" text-anchor="end">step {last:,}</text>',
    ]
    for number, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        points = " ".join(place(step, value) for step, value in line)
        parts += [
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>',
            f'<text x="{_EDGE + 90 * number}" y="{top + 12}" fill="{colour}">{name}</text>',
        ]
    return parts
