"""SIGKILL while a process writes: what it acknowledged is there, once, and what it deleted stays away."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import tempfile
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from lurcher.bundle.verifying import verify
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.edit.merge_policy import WritePolicy
from lurcher.index_builder.edit.requests import Delete, Receipt, Upsert
from lurcher.index_builder.edit.writer import Writer
from tests.scratch import SCRATCH

POLICY = WritePolicy(passages=6, step=2, age=1e9)
IDS = [f"k{i}" for i in range(9)]


@pytest.fixture
def bundle(small_bundle: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        yield Path(shutil.copytree(small_bundle, Path(folder) / "k.lurcher"))


def write_until_killed(bundle: Path, seed: int, told: int) -> None:
    """Write at random and tell the file ``told`` of each write, before it and after it."""
    draw = random.Random(seed)
    writer = Writer.open(bundle, policy=POLICY, check_hashes=False)
    os.write(told, b"[]\n")
    for number in range(10_000):
        id_, text = draw.choice(IDS), f"{seed} {number} {draw.choice(['fox', 'hare'])}"
        write = Delete((id_,)) if draw.random() < 0.3 else Upsert((Document(id_, text),))
        wanted = None if isinstance(write, Delete) else text
        os.write(told, f"{json.dumps([id_, wanted])}\n".encode())
        (receipt,) = writer.commit([write])
        assert isinstance(receipt, Receipt)
        os.write(told, b"true\n")
        if writer.flush_is_due:
            writer.flush()
        writer.compact(everything=draw.random() < 0.02)


def killed(bundle: Path, seed: int, seconds: float) -> list[object]:
    """What a process told that wrote ``bundle`` and was killed after so many ``seconds``."""
    reading, told = os.pipe()
    child = os.fork()
    if not child:
        try:
            write_until_killed(bundle, seed, told)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(told)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.readline() == b"[]\n"
        # A thread, as a signal's handler has to wait while there is something to read.
        timer = threading.Timer(seconds, os.kill, (child, signal.SIGKILL))
        timer.start()
        lines = pipe.read()
        timer.join()
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL, status
    return [json.loads(line) for line in lines.splitlines() if line.endswith((b"]", b"true"))]


def kill_many_times(bundle: Path, times: int, most: float) -> int:
    """Kill so many processes, each within ``most`` seconds; how many writes were acknowledged."""
    draw, acknowledged = random.Random(4), 0
    expected: dict[str, str] = {}
    for seed in range(times):
        told = killed(bundle, seed, draw.uniform(0.001, most))
        doubtful: tuple[str, str | None] | None = None
        for line in told:
            if line is True:
                assert doubtful is not None
                _apply(expected, *doubtful)
                acknowledged += 1
                doubtful = None
            else:
                assert isinstance(line, list)
                doubtful = line[0], line[1]
        writer = Writer.open(bundle, policy=POLICY, check_hashes=False)
        rows = writer.bundle.passages.rows(()).tolist()
        found = [one for one in writer.bundle.passages.get(rows) if one.id in IDS]
        assert len({one.id for one in found}) == len(found)
        texts = {one.id: one.text for one in found}
        if doubtful is not None and texts != expected:
            _apply(
                expected, *doubtful
            )  # it was on the disk, and the process could not say so any more
        assert texts == expected
        writer.abandon() if seed % 2 else writer.close()
    assert verify(bundle) == []
    return acknowledged


def _apply(texts: dict[str, str], id_: str, text: str | None) -> None:
    if text is None:
        texts.pop(id_, None)
    else:
        texts[id_] = text


def test_what_was_acknowledged_survives_a_kill(bundle: Path) -> None:
    assert kill_many_times(bundle, 3, most=0.3) > 0


@pytest.mark.nightly
def test_three_hundred_kills_lose_nothing(bundle: Path) -> None:
    assert kill_many_times(bundle, 300, most=1.0) > 300
