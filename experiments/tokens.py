"""``python -m experiments.tokens``: what late interaction gains, and keeps of it at how many bytes a token.

On development queries, each re-ranking what the first stage finds for it. Every setting is measured with
the same three random rotations and shown as their mean. What matters is the gain over the first
stage, and which share of the gain it is that all tokens give at one bit for each dimension.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from matplotlib.figure import Figure
from rich.console import Console

from experiments.token_candidates import SETS, Candidates, candidates
from experiments.token_variants import Variant, Variants
from lurcher.models.ranker.maxsim import blend
from lurcher.models.tokens.products import Vectors
from lurcher.training.plot import save_plot

_SEEDS = (0, 1, 2)
_BUDGETS = (8, 4)  # bytes a token

# All tokens, a bit a dimension: what nothing is left out of.
WHOLE = "all tokens, 384 dimensions, 1 bit"
_WHOLE = Variant(bits=384, share=1, common="kept")
_DEFAULT = Variant()
_CURVE = {
    64: (0.5, 0.25, 0.125),
    96: (1, 0.6, 0.4, 0.3, 0.25, 0.167),
    128: (1, 0.5, 0.45, 0.36, 0.3, 0.25, 0.2, 0.125),
    160: (0.5, 0.36, 0.3, 0.25, 0.2, 0.125),
    192: (1, 0.5, 0.36, 0.3, 0.25, 0.2, 0.167),
    256: (1, 0.5, 0.25, 0.22, 0.167, 0.125),
    384: (1, 0.5, 0.25, 0.167, 0.125),
}

# One thing at a time; what has the same tree of merges one after another.
_ABLATION = {
    "the default, not trained": _DEFAULT,
    "passages centred, queries not": replace(_DEFAULT, centred="passages"),
    "nothing centred": replace(_DEFAULT, centred="neither"),
    "components, not turned": replace(_DEFAULT, rotation="none"),
    "ITQ": replace(_DEFAULT, rotation="itq"),
    "every token weighs the same": replace(_DEFAULT, weights="equal"),
    "queries INT8": replace(_DEFAULT, queries="int8"),
    "queries 1 bit": replace(_DEFAULT, queries="1 bit"),
    "merged, float16": replace(_DEFAULT, rounded=False),
    "not merged": replace(_DEFAULT, share=1),
    "common tokens kept": replace(_DEFAULT, common="kept"),
    "common tokens share a code (BTR)": replace(_DEFAULT, common="shared"),
    "bipartite merging": replace(_DEFAULT, merging="bipartite"),
    "random projection": replace(_DEFAULT, projection="random", rotation="none"),
    WHOLE: _WHOLE,
    "the same, not centred": replace(_WHOLE, centred="neither"),
    "the same, float16": replace(_WHOLE, rounded=False),
    "the same, float16, not centred": replace(_WHOLE, rounded=False, centred="neither"),
    "the same, float16, weights equal": replace(_WHOLE, rounded=False, weights="equal"),
}

Mix = Callable[[Vectors, Vectors], Vectors]


def _ships(dense: Vectors, late: Vectors) -> Vectors:
    return blend(dense, late)


def _by(weight: float) -> Mix:
    return lambda dense, late: (1 - weight) * dense + weight * late


def _standard(weight: float) -> Mix:
    def mix(dense: Vectors, late: Vectors) -> Vectors:
        return _by(weight)(_spread(dense), _spread(late))

    return mix


def _spread(scores: Vectors) -> Vectors:
    """Each query's scores at mean 0 and deviation 1."""
    centred = scores - scores.mean(axis=1, keepdims=True)
    scaled: Vectors = centred / np.maximum(centred.std(axis=1, keepdims=True), 1e-9)
    return scaled


_MIXES: dict[str, Mix] = {
    "late interaction alone": _by(1),
    "first stage .5": _by(0.5),
    "z-scores, first stage .25": _standard(0.75),
    "z-scores, first stage .5": _standard(0.5),
}


@dataclass(frozen=True)
class Row:
    """One line of the table; figures by set, means over the seeds."""

    part: str  # first stage, curve, ablation or mixing
    label: str
    bits: int
    share: float
    bytes: float  # a token, all counted; mean over the sets
    quality: dict[str, float]
    deviation: dict[str, float]  # over the seeds
    gain: float  # over the first stage, mean over the sets
    kept: float  # share of the whole's gain, mean over the sets


@dataclass(frozen=True)
class _Found:
    """One set's figures for one line of the table, a value a seed."""

    quality: list[float]
    bytes: float


def main(
    bundles: Annotated[Path, typer.Option(help="Where SET.lurcher is.")] = Path("build"),
    data: Annotated[Path, typer.Option(help="The data sets.")] = Path("../shared/data"),
    work: Annotated[Path, typer.Option(help="Where token states are kept, some 3 GB.")] = Path(
        "build/tokens"
    ),
    out: Annotated[Path, typer.Option(help="The folder of the table and the plot.")] = Path(
        "docs/tokens"
    ),
) -> None:
    """Measure every setting on every set; write rows.json, table.md and plot.svg."""
    console = Console(width=140)
    firsts, found = {}, {}
    for one in SETS:
        of = candidates(one, bundles, data, work)
        firsts[one.name] = of.quality(of.dense)
        lines = f"{one.name}, first stage {firsts[one.name]:.4f}"
        console.print(f"{lines}, {len(of.starts) - 1} passages, {len(of.ids)} tokens")
        found[one.name] = _measure(of, Variants(of), console)
    rows = to_rows(firsts, found)
    out.mkdir(parents=True, exist_ok=True)
    (out / "rows.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    (out / "table.md").write_text(_table(rows))
    _plot(rows, out / "plot.svg")
    for most in _BUDGETS:
        best = best_within(rows, most)
        console.print(f"at most {most} bytes: {best.label}, {best.gain:+.4f}, {best.kept:.1%} kept")


# A line's part and label, with its setting.
_Line = tuple[str, str, Variant]


def _lines() -> list[_Line]:
    """All to be measured but the ways to mix, which cost nothing."""
    curve = {
        f"{bits} bits, {share:g}": Variant(bits, share) for bits in _CURVE for share in _CURVE[bits]
    }
    parts = {"ablation": _ABLATION, "curve": curve}
    lines = [
        (part, label, variant) for part, all_ in parts.items() for label, variant in all_.items()
    ]
    return sorted(lines, key=lambda line: (line[2].geometry, -line[2].share))


def _measure(of: Candidates, variants: Variants, console: Console) -> dict[_Line, _Found]:
    found: dict[_Line, _Found] = {}
    for line in _lines():
        part, label, variant = line
        mixed: dict[tuple[str, str], list[float]] = {(part, label): []}
        for seed in _SEEDS if variant.random else _SEEDS[:1]:
            late, size = variants.late(variant, seed)
            mixed[part, label].append(of.quality(_ships(of.dense, late)))
            if variant == _DEFAULT and part == "ablation":
                for name, mix in _MIXES.items():
                    mixed.setdefault(("mixing", name), []).append(of.quality(mix(of.dense, late)))
        found |= {(*names, variant): _Found(values, size) for names, values in mixed.items()}
        values = found[line].quality
        spread = f"{np.mean(values):.4f} +- {np.std(values):.4f}"
        console.print(f"  {part:<9} {label:<36} {size:6.2f} B  {spread}", highlight=False)
    return found


def to_rows(firsts: dict[str, float], found: dict[str, dict[_Line, _Found]]) -> list[Row]:
    """The table of what was ``found``, by set, beside each set's first stage: curve, ablation, mixing."""
    whole = ("ablation", WHOLE, _WHOLE)
    most = {name: float(np.mean(found[name][whole].quality)) - firsts[name] for name in firsts}
    rows = [Row("first stage", "first stage", 0, 0, 0, firsts, dict.fromkeys(firsts, 0.0), 0, 0)]
    order = ["curve", "ablation", "mixing"]
    asked = list(_ABLATION) + list(_MIXES)
    lines = next(iter(found.values()))

    def place(line: _Line) -> tuple[int, int, int, float]:
        part, label, variant = line
        number = asked.index(label) if label in asked else 0
        return order.index(part), number, variant.bits, -variant.share

    for line in sorted(lines, key=place):
        part, label, variant = line
        values = {name: found[name][line] for name in firsts}
        quality = {name: float(np.mean(one.quality)) for name, one in values.items()}
        gains = {name: quality[name] - firsts[name] for name in firsts}
        rows.append(
            Row(
                part,
                label,
                variant.bits,
                variant.share,
                round(float(np.mean([one.bytes for one in values.values()])), 3),
                {name: round(value, 4) for name, value in quality.items()},
                {name: round(float(np.std(one.quality)), 4) for name, one in values.items()},
                round(float(np.mean(list(gains.values()))), 4),
                round(float(np.mean([gains[name] / most[name] for name in firsts])), 4),
            )
        )
    return rows


def best_within(rows: Sequence[Row], most: float) -> Row:
    """The setting of the curve with the largest gain at ``most`` bytes a token."""
    return max((r for r in rows if r.part == "curve" and r.bytes <= most), key=lambda r: r.gain)


def _table(rows: Sequence[Row]) -> str:
    sets = list(rows[0].quality)
    head = ["", "bytes a token", *sets, "mean gain", "of the whole's"]
    lines = []
    for part in dict.fromkeys(row.part for row in rows):
        if part != "first stage":
            lines += [
                f"## {part.capitalize()}",
                "",
                f"| {' | '.join(head)} |",
                "|---" * len(head) + "|",
            ]
            shown = [row for row in rows if row.part in ("first stage", part)]
            for row in shown:
                quality = " | ".join(
                    f"{row.quality[name]:.4f}"
                    + (f" ± {row.deviation[name]:.4f}" if row.deviation[name] else "")
                    for name in sets
                )
                gain = f"{row.gain:+.4f} | {row.kept:.1%}" if row.bytes else " | "
                lines.append(f"| {row.label} | {row.bytes:.2f} | {quality} | {gain} |")
            lines.append("")
    return "\n".join(lines)


def _plot(rows: Sequence[Row], file: Path) -> None:
    """Share of the gain by bytes a token, a line a number of bits."""
    figure = Figure(figsize=(8, 4.5))
    panel = figure.subplots()
    curve = [row for row in rows if row.part == "curve"]
    for bits in _CURVE:
        some = [row for row in curve if row.bits == bits]
        panel.plot([r.bytes for r in some], [100 * r.kept for r in some], "o-", label=f"{bits} bits",
                   markersize=3, linewidth=1)  # fmt: skip
    ships = [row for row in rows if row.label == "the default, not trained"]
    panel.plot([r.bytes for r in ships], [100 * r.kept for r in ships], "*", color="black",
               markersize=12, label="ships")  # fmt: skip
    panel.axhline(95, color="black", linewidth=0.6, linestyle=":")
    panel.axvline(8, color="black", linewidth=0.6, linestyle=":")
    panel.set_xscale("log", base=2)
    ticks = [1, 2, 4, 8, 16, 32, 48]
    panel.set_xticks(ticks, [str(tick) for tick in ticks])
    panel.set_xlabel("bytes a token of a passage, all counted")
    panel.set_ylabel("% of the gain of all tokens at 384 bits")
    panel.legend(fontsize=8)
    save_plot(figure, file)


if __name__ == "__main__":
    typer.run(main)
