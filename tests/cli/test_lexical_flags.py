"""The lexical index on the command line: whether a build has it, its language, what inspect shows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lurcher.bundle.manifest import read_manifest
from tests.cli.running import Run, complaint, output
from tests.tiny import BY_TINY


def test_a_build_counts_terms_unless_it_is_told_not_to(
    run: Run, small_corpus: Path, tmp_path: Path
) -> None:
    output(run("build", small_corpus, "plain.lurcher", "--no-lexical", *BY_TINY))
    assert read_manifest(tmp_path / "plain.lurcher").lexical is None
    assert "\nlexical\n" not in output(run("inspect", "plain.lurcher"))
    output(run("build", small_corpus, "own.lurcher", "--language", "DE", *BY_TINY))
    lexical = read_manifest(tmp_path / "own.lurcher").lexical
    assert lexical is not None
    assert lexical.language == "german"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--language", "klingon"], "language: 'klingon' is not one of"),
        (["--language", ""], "language: '' is not one of"),
        (["--no-lexical", "--language", "german"], "no_lexical: leaves nothing to set --language"),
    ],
)
def test_an_index_that_cannot_be_is_one_line(
    run: Run, small_corpus: Path, tmp_path: Path, flags: list[str], said: str
) -> None:
    assert complaint(run("build", small_corpus, "out.lurcher", *flags, *BY_TINY)).startswith(said)
    assert not list(tmp_path.iterdir())


def test_inspect_shows_language_terms_and_bytes(run: Run, small_bundle: Path) -> None:
    lexical = read_manifest(small_bundle).lexical
    assert lexical is not None
    shown = output(run("inspect", small_bundle))
    for name, value in {
        "language": "none",
        "terms": f"{lexical.terms:,}",
        "bytes a passage": f"{lexical.bytes / 60:,.1f}",
    }.items():
        section = shown.split("\nlexical\n")[1].split("\n\n")[0]
        assert re.search(rf"^  {name} +{re.escape(value)}$", section, re.MULTILINE)
    told = json.loads(output(run("inspect", small_bundle, "--json")))["lexical"]
    assert told == lexical.model_dump()
