"""Compile the native library, and find what can: a C compiler, or the one that the package ziglang carries.

Run as a script it compiles the library into a source tree: ``python build_hooks/native_library.py``.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

SOURCES = Path("lurcher", "models", "engines", "native", "src")
# The same name everywhere: ctypes does not care, and package data has one pattern.
LIBRARY = "native_library.so"

FLAGS = ["-std=gnu11", "-O3", "-fPIC", "-fvisibility=hidden", "-fno-math-errno", "-fno-trapping-math",
          "-Wno-psabi", "-g0"]  # fmt: skip
_AVX512 = [
    "-mavx512f",
    "-mavx512bw",
    "-mavx512dq",
    "-mavx512vl",
    "-mavx512vnni",
    "-mavx2",
    "-mfma",
    "-mbmi2",
]
# By a part of the file's name; a file of no instruction set is compiled for any machine.
_SETS = {
    "avx2": ["-mavx2", "-mfma", "-mbmi2"],
    "avxvnni": ["-mavx2", "-mfma", "-mbmi2", "-mavxvnni"],
    "avx512": [*_AVX512, "-mprefer-vector-width=512"],
    "amx": [*_AVX512, "-mamx-tile", "-mamx-int8"],
}
_ARM_SETS = {"dotprod": ["-mcpu=generic+dotprod"]}
# Where ziglang has wheels; asking for it elsewhere would end an installation that works without.
_ZIG_SYSTEMS = ("Linux", "Darwin", "Windows")
_ZIG_MACHINES = ("x86_64", "amd64", "aarch64", "arm64")
_TRIAL = "#include <math.h>\n#include <stdint.h>\nfloat trial(float x) { return rintf(x); }\n"


def is_wanted() -> bool:
    """Whether the library is to be built: unless LURCHER_NO_NATIVE is set."""
    return not os.environ.get("LURCHER_NO_NATIVE")


@cache
def system_compiler() -> list[str] | None:
    """The command of a C compiler of this machine that compiles a file with headers, if there is one."""
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        command = name.split() if name else []
        if command and shutil.which(command[0]) and _compiles(command):
            return command
    return None


@cache
def compiler() -> list[str] | None:
    """The command of a C compiler: this machine's, or that of the package ziglang if it is installed."""
    found = system_compiler()
    if found is None and importlib.util.find_spec("ziglang") is not None:
        zig = [sys.executable, "-m", "ziglang", "cc"]
        found = zig if _compiles(zig) else None
    return found


def requirements() -> list[str]:
    """What has to be installed to build the library: ziglang, if no compiler is found and it can be had."""
    if not is_wanted() or system_compiler() is not None:
        return []
    known = platform.system() in _ZIG_SYSTEMS and platform.machine().lower() in _ZIG_MACHINES
    return ["ziglang>=0.13"] if known else []


def is_current(root: Path, library: Path) -> bool:
    """Whether the file ``library`` is newer than its sources below ``root`` and than this script."""
    if not library.exists():
        return False
    made_of = [*(root / SOURCES).iterdir(), Path(__file__)]
    return library.stat().st_mtime > max(one.stat().st_mtime for one in made_of)


def compile_library(root: Path, out: Path) -> str | None:
    """Compile the sources below ``root`` to the file ``out``; why not, if it cannot be done.

    The file appears whole or not at all.
    """
    command = compiler()
    if command is None:
        return "no C compiler was found"
    sources = sorted((root / SOURCES).glob("*.c"))
    with tempfile.TemporaryDirectory() as folder:
        jobs = {
            str(Path(folder, f"{source.stem}.o")): [*command, *FLAGS, *flags, "-c", str(source)]
            for source in sources
            if (flags := machine_flags(source.stem)) is not None
        }
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            failures = list(pool.map(_run, [[*job, "-o", out] for out, job in jobs.items()]))
        failed = next(filter(None, failures), None)
        if failed:
            return failed
        made = Path(folder, LIBRARY)
        maths = [] if platform.system() in ("Windows", "Darwin") else ["-lm"]
        failed = _run([*command, "-shared", *jobs, *maths, "-o", str(made)])
        if failed:
            return failed
        beside = out.with_suffix(f".{os.getpid()}")
        shutil.copyfile(made, beside)
        beside.replace(out)  # a server that has it loaded keeps the old file
    return None


def machine_flags(name: str, machine: str = platform.machine()) -> list[str] | None:
    """The flags of the file ``name`` for its instruction set; None if it is not one of that ``machine``."""
    mine = {"x86_64": _SETS, "amd64": _SETS, "aarch64": _ARM_SETS, "arm64": _ARM_SETS}.get(
        machine.lower(), {}
    )
    for part in {*_SETS, *_ARM_SETS} & set(name.split("_")):
        return mine.get(part)
    return []


def _compiles(command: list[str]) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "trial.c")
        source.write_text(_TRIAL)
        out = str(source.with_suffix(".so"))
        return _run([*command, "-shared", "-fPIC", str(source), "-o", out]) is None


def _run(command: list[str]) -> str | None:
    """What went wrong, in the last lines that ``command`` wrote; None if nothing did."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode:
        return "\n".join([f"{' '.join(command[:4])} ... failed:", *done.stderr.splitlines()[-20:]])
    return None


if __name__ == "__main__":
    tree = Path(__file__).resolve().parent.parent
    sys.exit(compile_library(tree, tree / SOURCES.parent / LIBRARY))
