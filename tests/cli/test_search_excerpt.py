"""What ``lurcher search`` prints of a hit: the sentence that matches, wherever it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import Run, output
from tests.tiny import build
from tests.unsplit import unsplit

FILLER = "The filter was cleaned in spring and nothing else was done. " * 8
RECORDS = [
    {"id": "pump", "title": "Pump", "text": f"{FILLER}The valve\tleaks   oil. {FILLER}"},
    {
        "id": "long",
        "title": "Long",
        "text": f"{FILLER}A gasket {'of rubber ' * 60}seals it. {FILLER}",
    },
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, write_jsonl: Any) -> Path:
    folder = tmp_path_factory.mktemp("excerpts")
    out = folder / "pumps.lurcher"
    with unsplit():
        build(write_jsonl(folder / "pumps.jsonl", RECORDS), out)
    return out


def shown(run: Run, bundle: Path, query: str, title: str) -> str:
    """What is printed of the hit with ``title``, on one line however wide the console."""
    lines = output(run("search", bundle, query)).splitlines()
    titles = [at for at, line in enumerate(lines) if f"  {title}  " in line]
    (start,) = titles
    rest = lines[start + 1 :]
    until = next((at for at, line in enumerate(rest) if line[:1].isdigit()), len(rest))
    return " ".join(" ".join(rest[:until]).split())


def test_the_matching_sentence_is_printed(run: Run, bundle: Path) -> None:
    assert shown(run, bundle, "valve leaks", "Pump") == "The valve leaks oil."


def test_a_long_sentence_is_cut_and_says_so(run: Run, bundle: Path) -> None:
    found = shown(run, bundle, "gasket", "Long")
    assert found.startswith("A gasket of rubber of rubber")
    assert found.endswith("…")
    assert 295 <= len(found) <= 301


def test_the_beginning_is_printed_where_no_word_is_shared(run: Run, bundle: Path) -> None:
    assert shown(run, bundle, "zebra", "Pump").startswith("The filter was cleaned in spring")
