"""Tables of names and values that several commands print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lurcher.cli.console import console

if TYPE_CHECKING:
    from lurcher.bundle.manifest import Manifest
    from lurcher.models.encoders.student import StudentConfig


def print_section(title: str, values: dict[str, Any]) -> None:
    """Print one line per value under a title; nothing if there are no values."""
    if not values:
        return
    if title:
        console.print(f"\n[bold]{title}[/]")
    for name, value in values.items():
        console.print(f"  {name:<34} {value}", highlight=False, markup=False, soft_wrap=True)


def kept(student: StudentConfig) -> dict[str, str]:
    """Return how much of its teacher's quality a student keeps, by data and measure."""
    return {
        f"{f.data} {f.measure}": f"{f.student:.4f} of {f.teacher:.4f}: {f.retention:.1%} kept"
        for f in student.figures
    }


def print_neighbours(manifest: Manifest) -> None:
    """Print a bundle's known queries, and the settings that were chosen."""
    known = manifest.neighbours
    if known is None:
        return
    rows: dict[str, Any] = {
        "queries": f"{known.queries:,}", "labels": f"{known.labels:,}",
        "passages with labels": f"{known.passages:,} of {manifest.passages:,}",
        "from": ", ".join(f"{source} ({n:,})" for source, n in known.sources.items()),
        "tuned on": known.development, "chosen": known.mode,
    }  # fmt: skip
    if known.mode != "off":
        settings = known.adapted if known.mode == "adapted" else known.voting
        rows.update(settings.model_dump())
    print_section("known queries", rows)
    trials: dict[str, str] = {}
    for trial in known.trials:
        text = f"nDCG@10 {trial.ndcg:.4f}, Recall@100 {trial.recall:.4f}"
        if trial.unseen_ndcg is not None:
            text += (
                f"; where nobody asked before {trial.unseen_ndcg:.4f}, {trial.unseen_recall:.4f}"
            )
        trials[trial.mode] = text
    print_section("tried", trials)
