"""C programs linked with the native library's sources."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]


def build(name: str, folder: Path, flags: list[str]) -> Path:
    """The program of ``name``.c, which lies here, compiled into ``folder`` by gcc with ``flags`` added."""
    spec = importlib.util.spec_from_file_location(
        "native_library", ROOT / "build_hooks" / "native_library.py"
    )
    assert spec is not None
    assert spec.loader is not None
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    objects = []
    for source in [
        *sorted((ROOT / hooks.SOURCES).glob("*.c")),
        Path(__file__).with_name(f"{name}.c"),
    ]:
        own = hooks.machine_flags(source.stem)
        if own is None:  # for another kind of machine
            continue
        objects.append(folder / f"{source.stem}.o")
        every = [*hooks.FLAGS, *own, *flags]
        subprocess.run(["gcc", *every, "-c", source, "-o", objects[-1]], check=True)
    program = folder / name
    subprocess.run(["gcc", *flags, *objects, "-lm", "-o", program], check=True)
    return program
