"""Builds that end at a fail point: killed, as processes of their own, or interrupted in this one."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from lurcher.index_builder.options import BuildOptions
from tests.tiny import build

CHUNK_SIZE = 16
# In small pieces, so that a kill falls between many of them.
build_in_pieces = partial(build, chunk_size=CHUNK_SIZE)


class Interrupted(BaseException):
    """Stands for a kill: nothing catches it."""


def interrupt(
    corpus: Path, out: Path, place: str, times: int = 1, half: str = "",
    options: BuildOptions | None = None,
) -> None:  # fmt: skip
    """Begin a build as ``start`` does, which ends by ``Interrupted`` instead of a kill.

    It takes no process, and so a fraction of the time; but what Python closes and removes on its way out, a
    kill leaves.
    """
    left = times

    def fail_point(reached: str) -> None:
        nonlocal left
        left -= reached == place
        if reached == place and not left:
            if half:
                file = out.with_name(f"{out.name}.partial") / "bundle" / half
                file.parent.mkdir(parents=True, exist_ok=True)
                with file.open("ab") as opened:
                    opened.write(b"half of it")
            raise Interrupted

    with pytest.raises(Interrupted):
        build_in_pieces(corpus, out, options, fail_point=fail_point)


_COMMAND = """
import os, signal, sys
from pathlib import Path
from tests.tiny import TinyOptions, build
corpus, out, place, times, half = sys.argv[1:]
left = int(times)

def fail_point(reached):
    global left
    left -= reached == place
    if reached != place or left:
        return
    if half:
        file = Path(out + ".partial") / "bundle" / half
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab") as opened:
            opened.write(b"half of it")
    {do}

build(Path(corpus), Path(out), {options}, chunk_size={chunk_size}, fail_point=fail_point)
"""
_KILL = "os.kill(os.getpid(), signal.SIGKILL)"
# Tell that the workspace is held, and hold it until the input ends.
HOLD = 'print("held", flush=True); sys.stdin.read()'


def start(
    corpus: Path, out: Path, place: str = "", times: int = 1, half: str = "", *,
    options: str = "None", do: str = _KILL,
) -> subprocess.Popen[bytes]:  # fmt: skip
    """Start a build that is killed when it reaches the fail point ``place`` for the ``times``-th time.

    Before that, half a file is written into the unfinished bundle under the name ``half``. ``options`` is a
    Python expression.
    """
    code = _COMMAND.format(do=do, options=options, chunk_size=CHUNK_SIZE)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(corpus), str(out), place, str(times), half],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip


def run(
    corpus: Path, out: Path, place: str = "", times: int = 1, half: str = "", options: str = "None"
) -> tuple[int, bytes]:
    """Exit status and error output of such a build."""
    process = start(corpus, out, place, times, half, options=options)
    _, error = process.communicate()
    return process.returncode, error
