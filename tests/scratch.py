"""A place where syncing is quick, for tests that sync at every step, and the many steps of such tests."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.tiny import TinyOptions, build

# A process that is killed loses nothing that the operating system has.
SCRATCH = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 (each folder in it is its test's own)


@contextmanager
def scratch_bundle(texts: Sequence[str], options: TinyOptions | None = None) -> Iterator[Path]:
    """A bundle of the passages ``base-0``, ``base-1`` and so on, which have these ``texts``."""
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        corpus, bundle = Path(folder) / "corpus.jsonl", Path(folder) / "base.lurcher"
        lines = (json.dumps({"id": f"base-{i}", "text": text}) for i, text in enumerate(texts))
        corpus.write_text("\n".join(lines))
        build(corpus, bundle, options)
        yield bundle


def run_sequences(
    machine: type[RuleBasedStateMachine], sequences: int, steps: int, **how: Any
) -> None:
    """Take so many random ``sequences`` of so many ``steps`` of ``machine``; ``how``: further settings."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=sequences, stateful_step_count=steps, deadline=None,
            suppress_health_check=list(HealthCheck), **how,
        ),
    )  # fmt: skip
