"""``lurcher`` in a folder of the test's own: in this process, or as one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.running import Ended, Run, run_here, run_process


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs ``lurcher`` in an empty folder, on a wide terminal without colours."""

    def lurcher(*words: str | Path, **environment: str) -> Ended:
        return run_here(words, tmp_path, environment)

    return lurcher


@pytest.fixture
def start(tmp_path: Path) -> Run:
    """``run``, as a process: for what only a process shows. It takes a second to import everything."""

    def lurcher(*words: str | Path, **environment: str) -> Ended:
        return run_process(words, tmp_path, environment)

    return lurcher
