"""A disk that is full and a kill half way: there is no bundle, and the old one is as it was."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lurcher.bundle.verifying import verify
from lurcher.index_builder.adapt import adapt
from lurcher.index_builder.neighbours import Judged
from tests.index_builder.adapt.known import OPTIONS, State, known_queries

COMMAND = """
import os, resource, signal, sys
from pathlib import Path
from lurcher.index_builder.adapt import adapt
from lurcher.index_builder.neighbours import Judged, NeighbourOptions
from lurcher.index_builder.progress import Silent
from lurcher.errors import BundleError
from tests.index_builder.adapt.known import {queries} as queries

def fail_point(place):
    if place == {place!r}:
        os.kill(os.getpid(), signal.SIGKILL)

class Deadly(Silent):
    def stage(self, name, total, done=0):
        fail_point(name)

{prologue}
try:
    adapt(
        Path(sys.argv[1]), Judged(queries()), NeighbourOptions(), report=Deadly(),
        fail_point=fail_point,
    )
except BundleError as error:
    print(error)
"""


def start(
    old: Path, prologue: str = "", place: str = "", queries: str = "known_queries"
) -> subprocess.CompletedProcess[str]:
    command = COMMAND.format(prologue=prologue, place=place, queries=queries)
    return subprocess.run(
        [sys.executable, "-c", command, str(old)],
        capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "queries"),
    [
        (500, "known_queries"),
        (10_000, "known_queries"),
        (60_000, "long_queries"),
    ],
)
def test_a_full_disk_is_one_error_and_leaves_nothing(
    old: Path, limit: int, queries: str, state: State
) -> None:
    before = state(old)
    # A limit on the size of any one file fails a write as a full disk does, and needs no disk.
    prologue = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))"
    ended = start(old, prologue, queries=queries)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(f"{old.with_name('small-adapted.lurcher')}: cannot be written: ")
    assert ended.stdout.endswith(f"; {old} is as it was\n")
    assert list(old.parent.iterdir()) == [old]
    assert state(old) == before


@pytest.mark.parametrize(
    "place",
    [
        *(pytest.param(place, marks=pytest.mark.nightly)
          for place in ("encoding known queries", "choosing", "indexing", "manifest: begun")),
        "bundle: synced",
    ],
)  # fmt: skip
def test_killed_half_way_there_is_no_bundle_and_a_rerun_makes_it(
    old: Path, place: str, state: State
) -> None:
    before = state(old)
    assert start(old, place=place).returncode == -signal.SIGKILL
    assert [f for f in old.parent.iterdir() if not f.name.startswith(".")] == [old]
    assert state(old) == before
    out, _ = adapt(old, Judged(known_queries()), OPTIONS)
    assert verify(out) == []
    assert state(old) == before
