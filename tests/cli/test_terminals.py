"""What commands print: on terminals that lack characters, of documents that would control one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import PLAIN, Run, complaint, output
from tests.tiny import BY_TINY, build

Write = Callable[[Path, Iterable[Any]], Path]

EMOJI = {"id": "sea-1", "title": "Holiday 🏖️ 长城", "text": "The cat sleeps — on the “beach” 🐈"}
EVIL = "\x1b]0;owned\x07\x1b[31mred\x9b1m\u202egnp.exe\x7f"
COMMANDS = set("\x1b\x07\x9b\u202e\x7f")


@pytest.fixture
def emoji(tmp_path: Path, write_jsonl: Write) -> Path:
    build(write_jsonl(tmp_path / "emoji.jsonl", [EMOJI]), tmp_path / "emoji.lurcher")
    return tmp_path / "emoji.lurcher"


@pytest.mark.parametrize(
    ("encoding", "title"),
    [("cp1252", "Holiday ?? ??"), ("ascii", "Holiday ?? ??"), ("utf-8", "长城")],
)
def test_console_that_lacks_characters_gets_others(emoji: Path, encoding: str, title: str) -> None:
    environment = os.environ | PLAIN | {"PYTHONIOENCODING": encoding}
    ended = subprocess.run(
        [sys.executable, "-m", "lurcher", "search", str(emoji), "a cat"],
        env=environment, capture_output=True, encoding=encoding, timeout=120,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    assert title in ended.stdout


def test_json_loses_nothing_where_characters_lack(start: Run, emoji: Path) -> None:
    shown = output(start("search", emoji, "a cat", "--json", PYTHONIOENCODING="ascii"))
    assert json.loads(shown)["title"] == EMOJI["title"]
    assert json.loads(shown)["text"] == EMOJI["text"]


def test_help_can_be_shown_anywhere(start: Run) -> None:
    ended = start("--help", PYTHONIOENCODING="ascii")
    assert ended.returncode == 0
    assert "--version" in ended.stdout


def test_documents_do_not_control_the_terminal(
    run: Run, tmp_path: Path, write_jsonl: Write
) -> None:
    records = [
        {"id": f"i{EVIL}", "text": f"a cat {EVIL}", "note": EVIL},
        {"id": "b", "title": f"[bold]t{EVIL}", "text": "a cat"},
    ]
    corpus, bundle = write_jsonl(tmp_path / "c.jsonl", records), tmp_path / "c.lurcher"
    build(corpus, bundle)
    shown = output(run("search", bundle, "a cat"))
    assert "[bold]t" in shown
    as_json = output(run("search", bundle, "a cat", "--json"))
    found = {hit["id"]: hit for hit in map(json.loads, as_json.splitlines())}
    assert found[f"i{EVIL}"]["text"] == f"a cat {EVIL}"
    for printed in (shown, as_json, output(run("inspect", bundle))):
        assert not COMMANDS & set(printed)


def test_errors_do_not_control_the_terminal(run: Run, tmp_path: Path) -> None:
    corpus = tmp_path / f"[red]{EVIL}.jsonl"
    corpus.write_text(json.dumps({"id": EVIL, "text": "a"}) + f"\n{EVIL}\n")
    line = complaint(run("build", corpus, "x.lurcher", *BY_TINY))
    assert "[red]" in line
    assert "line 2" in line
    assert not COMMANDS & set(line)


def test_name_in_brackets_is_no_markup(run: Run, tmp_path: Path, small_corpus: Path) -> None:
    shown = output(run("build", small_corpus, "[blue]a[old].lurcher", *BY_TINY))
    assert shown.startswith("[blue]a[old].lurcher: 60 passages")
    assert output(run("verify", "[blue]a[old].lurcher")) == "[blue]a[old].lurcher: sound\n"


def test_version_is_that_of_the_package(run: Run) -> None:
    assert output(run("--version")) == f"lurcher {version('lurcher')}\n"
