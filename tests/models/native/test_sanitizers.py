"""Random calls of the native library: under sanitizers, and ten million of them without growth."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.models.native.programs import build

SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1"]

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc and its sanitizers"),
    pytest.mark.skipif(
        platform.machine() != "x86_64", reason="has kernels for x86-64 alone to try"
    ),
]


def test_random_calls_touch_nothing_that_is_not_theirs(tmp_path: Path) -> None:
    program = build("random_calls", tmp_path, SANITIZERS)
    done = subprocess.run([program, "300"], capture_output=True, text=True, check=False)
    assert done.stdout.endswith("fine\n"), done.stdout + done.stderr


@pytest.mark.skipif(platform.system() != "Linux", reason="reads its memory from /proc")
def test_ten_million_calls_take_no_more_memory_than_some(tmp_path: Path) -> None:
    program = build("many_calls", tmp_path, [])
    done = subprocess.run([program, "10000000"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
