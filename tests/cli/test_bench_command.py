"""``lurcher bench``: each benchmark explains itself, and the server's needs no extra."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.running import Run, hidden, output


@pytest.mark.parametrize("name", ["server", "feedback"])
def test_benchmark_shows_its_own_help(run: Run, name: str) -> None:
    shown = output(run("bench", name, "--help"))
    assert f"Usage: lurcher bench {name} " in shown
    assert "--clients" in shown


@pytest.mark.parametrize("words", [[], ["--help"]])
def test_without_a_name_the_benchmarks_are_listed(run: Run, words: list[str]) -> None:
    shown = output(run("bench", *words))
    assert "Usage: lurcher bench " in shown
    assert "workers or writes" in " ".join(
        shown.replace("│", " ").split()
    )  # in a box, on several lines


def test_server_is_measured_by_the_base_install(
    start: Run, small_bundle: Path, tmp_path: Path
) -> None:
    queries = tmp_path / "queries.jsonl"
    queries.write_text('{"_id": "q", "text": "a cat"}\n')
    shown = output(
        start(
            "bench", "server", small_bundle, "--queries", queries, "--requests", "3", "--clients", "1,2",
            **hidden("psutil", tmp_path / "shadow"),
        )
    )  # fmt: skip
    assert "stages p50" in shown
    assert "server memory: " in shown
