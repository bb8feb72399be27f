"""Random calls of the native library under the address and undefined-behaviour sanitizers."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1"]


@pytest.mark.nightly
@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc and its sanitizers")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="has kernels for x86-64 alone to try")
def test_random_calls_touch_nothing_that_is_not_theirs(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location(
        "native_library", ROOT / "build_hooks" / "native_library.py"
    )
    assert spec is not None
    assert spec.loader is not None
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    objects = []
    sources = [
        *sorted((ROOT / hooks.SOURCES).glob("*.c")),
        Path(__file__).with_name("random_calls.c"),
    ]
    for source in sources:
        objects.append(tmp_path / f"{source.stem}.o")
        flags = [*hooks.FLAGS, *hooks.machine_flags(source.stem), *SANITIZERS]
        subprocess.run(["gcc", *flags, "-c", source, "-o", objects[-1]], check=True)
    program = tmp_path / "random_calls"
    subprocess.run(["gcc", *SANITIZERS, *objects, "-lm", "-o", program], check=True)
    done = subprocess.run([program, "300"], capture_output=True, text=True, check=False)
    assert done.stdout.endswith("fine\n"), done.stdout + done.stderr
