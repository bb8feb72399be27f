"""``lurcher compress`` where torch is not installed; the rest is in tests/training."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.running import Run, complaint, hidden, output


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_missing_extra_names_the_pip_command(start: Run, tmp_path: Path, package: str) -> None:
    words = ["compress", "my.lurcher", "--queries", "queries.jsonl", "--out", "student"]
    line = complaint(start(*words, **hidden(package, tmp_path / "shadow")))
    # Without the extra torch, which is looked for first, is what is missing.
    assert line in {
        f"this needs the package {missing}: pip install 'lurcher[train]'"
        for missing in {package, "torch"}
    }
    assert [file.name for file in tmp_path.iterdir()] == ["shadow"]


def test_it_explains_itself_without(run: Run) -> None:
    shown = output(run("compress", "--help"))
    for flag in ("--queries", "--out", "--layers", "--sparsity", "--pattern", "--losses"):
        assert flag in shown


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["b", "--out", "s", "--corpus-texts", "-1"], "--corpus-texts"),
        (["b", "--queries", "q"], "--out"),
        (["--queries", "q", "--out", "s"], "TEACHER"),
        (["b", "--queries", "q", "--out", "s", "--pattern", "8-block"], "--pattern"),
        (["b", "--queries", "q", "--out", "s", "--device", "tpu"], "--device"),
    ],
)
def test_mistake_in_the_command_is_named(run: Run, words: list[str], named: str) -> None:
    ended = run("compress", *words)
    assert ended.returncode == 2
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr
