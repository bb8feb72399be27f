"""``lurcher`` as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs ``lurcher`` in an empty folder, on a wide terminal without colours."""

    def lurcher(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        plain = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
        return subprocess.run(
            [sys.executable, "-m", "lurcher", *map(str, words)],
            cwd=tmp_path, env=os.environ | plain | environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    return lurcher
