"""Stages of a build: what each reads, writes and depends on; and the runner that a kill cannot spoil."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lurcher.bundle.manifest import FORMAT_VERSION, lurcher_version
from lurcher.index_builder.build_context import BuildContext


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a build.

    inputs     names of the earlier stages whose results it reads
    outputs    the files that it writes, below the workspace's folder
    run        does it; a stage that was killed goes on from the files that are there
    depends_on what its result depends on besides its inputs, JSON-able; None: cheap, it runs in every build
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    run: Callable[[BuildContext], None]
    depends_on: Callable[[BuildContext], object] | None = None


def run_stages(stages: Iterable[Stage], context: BuildContext) -> None:
    """Run in order those of ``stages`` that are not done by an earlier, interrupted build.

    A stage's key is a hash of what it depends on, of its inputs' keys and of the version of the code; it is
    done if the workspace notes it as done under the same key.
    """
    keys: dict[str, str] = {}
    version = [lurcher_version(), FORMAT_VERSION]
    workspace, fail_point = context.workspace, context.fail_point
    for stage in stages:
        if stage.depends_on is None:
            fail_point(f"{stage.name}: begun")
            stage.run(context)
            continue
        inputs = [keys[name] for name in stage.inputs]
        keys[stage.name] = _key(version, stage.name, inputs, stage.depends_on(context))
        files = [workspace.root / file for file in stage.outputs]
        if workspace.begin(stage.name, keys[stage.name], files):
            fail_point(f"{stage.name}: begun")
            stage.run(context)
            fail_point(f"{stage.name}: written")
            workspace.done(stage.name)


def _key(*parts: object) -> str:
    """A short hash of ``parts``, which must be JSON-able."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
