"""Tables of names and values that several commands print."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lurcher.cli.console import console, warn

if TYPE_CHECKING:
    from lurcher.bundle.manifest import Manifest
    from lurcher.models.encoders.student import StudentConfig

# Share of its teacher's quality that a student should keep; the fastest one that ships keeps 89 %.
_ENOUGH = 0.8


def print_section(title: str, values: dict[str, Any]) -> None:
    """Print one line per value under a title; nothing if there are no values."""
    if not values:
        return
    if title:
        console.print(f"\n{title}", style="bold")
    for name, value in values.items():
        console.print(f"  {name:<34} {value}", soft_wrap=True)


def kept(student: StudentConfig) -> dict[str, str]:
    """Return how much of its teacher's quality a student keeps, by data and measure."""
    return {
        f"{f.data} {f.measure}": f"{f.student:.4f} of {f.teacher:.4f}: {f.retention:.1%} kept"
        for f in student.figures
    }


def warn_of_loss(student: StudentConfig) -> None:
    """Warn of a student that keeps less than ``_ENOUGH`` of its teacher's quality, or was never measured."""
    poor = [f for f in student.figures if f.retention < _ENOUGH]
    for f in poor:
        warn(
            f"{student.name} keeps {f.retention:.1%} of {f.data} {f.measure}, less than {_ENOUGH:.0%}: "
            "searches get noticeably worse; measure it on your own queries with `lurcher eval`"
        )
    if not student.figures:
        warn(f"nobody measured how much of its teacher's quality {student.name} keeps")


def print_coverage(manifest: Manifest) -> None:
    """Print how much of the corpus is searched, and warn of what is not, or not well."""
    covered = manifest.coverage
    if covered is None:
        return
    rows = {
        "documents": f"{covered.documents:,}, of which {covered.split_documents:,} were split",
        "characters read": f"{covered.share_read:.1%} of {covered.characters:,}",
        "passages by kind of file": _by_kind(covered.passages_by_kind),
    }
    if covered.files_left_out:
        rows["files left out"] = _by_kind(covered.files_left_out)
    if manifest.lexical is not None:
        language = manifest.lexical.language
        rows["language of words"] = (
            "none is clear, so words are not stemmed: --language names one"
            if language == "none"
            else language
        )
    print_section("coverage", rows)
    if covered.unfamiliar_passages:
        warn(
            f"the encoder's tokeniser knows less than two thirds of {covered.unfamiliar_passages:,} of "
            f"{manifest.passages:,} passages, so searches find them badly; if they are in another language, "
            "build with --encoder and an encoder for it (`lurcher export`)"
        )


def _by_kind(counts: Mapping[str, int]) -> str:
    """Counts by how files' names end, in one line."""
    return ", ".join(
        f"{'without a suffix' if kind == 'none' else kind} {n:,}" for kind, n in counts.items()
    )


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
