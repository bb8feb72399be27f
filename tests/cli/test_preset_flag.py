"""The preset on the command line: what a build says of it, and inspect shows."""

from __future__ import annotations

from pathlib import Path

from tests.cli.running import Run, complaint, output
from tests.tiny import BY_TINY


def test_a_build_says_what_scores_are_weighed_for(run: Run, small_corpus: Path) -> None:
    said = output(run("build", small_corpus, "plain.lurcher", *BY_TINY))
    assert "scores weighed as for prose: 0% of the passages are code" in said
    said = output(run("build", small_corpus, "asked.lurcher", "--preset", "code", *BY_TINY))
    assert "scores weighed as for code: 0% of the passages are code" in said
    shown = output(run("inspect", "asked.lurcher")).split()
    assert shown[shown.index("preset") + 1] == "code"


def test_words_alone_are_not_weighed(run: Run, small_corpus: Path) -> None:
    said = complaint(
        run("build", small_corpus, "out", "--no-vectors", "--preset", "code", *BY_TINY)
    )
    assert said == "no_vectors: leaves nothing to use --preset for"
