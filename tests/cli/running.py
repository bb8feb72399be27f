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

from lurcher import cli

Ended = subprocess.CompletedProcess[str]
Run = Callable[..., Ended]

# A wide terminal without colours.
PLAIN = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}


def run_process(words: Sequence[str | Path], folder: Path, environment: dict[str, str]) -> Ended:
    """``lurcher`` with ``words``, as a process in ``folder``."""
    return subprocess.run(
        [sys.executable, "-m", "lurcher", *map(str, words)],
        cwd=folder, env=os.environ | PLAIN | environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def run_here(words: Sequence[str | Path], folder: Path, environment: dict[str, str]) -> Ended:
    """The same within this process, which has imported everything already; what it raises is raised."""
    arguments = ["lurcher", *map(str, words)]
    out, err, code = io.StringIO(), io.StringIO(), 0
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


def output(ended: Ended) -> str:
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def complaint(ended: Ended) -> str:
    """The one line on stderr of a command that failed as it should."""
    assert ended.returncode == 1, (ended.stdout, ended.stderr)
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error ")
    return line.removeprefix("error ")
