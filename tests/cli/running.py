"""What a command line printed, by how it ended."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from rich.console import ConsoleDimensions

from lurcher import cli
from lurcher.cli import console as printing

Ended = subprocess.CompletedProcess[str]
Run = Callable[..., Ended]

# A wide terminal without colours.
WIDTH = 200
PLAIN = {"COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb"}


def run_process(words: Sequence[str | Path], folder: Path, environment: dict[str, str]) -> Ended:
    """``lurcher`` with ``words``, as a process in ``folder``."""
    return subprocess.run(
        [sys.executable, "-m", "lurcher", *map(str, words)],
        cwd=folder, env=os.environ | PLAIN | environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def run_here(words: Sequence[str | Path], folder: Path, environment: dict[str, str]) -> Ended:
    """The same within this process, which has imported everything already; what it raises is raised.

    Not for what changes the process: a server takes over its signals and its log.
    """
    arguments = ["lurcher", *map(str, words)]
    out, err, code = io.StringIO(), io.StringIO(), 0
    for console in (printing.console, printing.errors):
        console.size = ConsoleDimensions(WIDTH, 50)
    with (
        patch.dict(os.environ, PLAIN | environment),
        patch.object(sys, "argv", arguments),
        chdir(folder),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def hidden(package: str, folder: Path) -> dict[str, str]:
    """An environment without ``package``: a module in ``folder`` takes its name and cannot be imported."""
    folder.mkdir()
    (folder / f"{package}.py").write_text(f"raise ModuleNotFoundError(name={package!r})")
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths)}


def output(ended: Ended) -> str:
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def complaint(ended: Ended) -> str:
    """The one line on stderr of a command that failed as it should."""
    assert ended.returncode == 1, (ended.stdout, ended.stderr)
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error ")
    return line.removeprefix("error ")
