"""A corpus to the bundles of a cluster: one build of the whole, then a split.

All that a bundle learns of its corpus it learns of the whole, by the stages of any build. Encoding, which is
nearly all of the time, can be done elsewhere.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.sync import sync_all
from lurcher.cluster.cluster_file import ClusterFile
from lurcher.cluster.split import split
from lurcher.errors import BundleError, FieldError
from lurcher.index_builder.build import CHUNK_SIZE, build, skipped_file
from lurcher.index_builder.options import BuildOptions
from lurcher.index_builder.progress import Reporter, Silent
from lurcher.index_builder.stage import Stage
from lurcher.index_builder.stages import STAGES
from lurcher.index_builder.stages.encode_passages import EncodeChunks, encode_here
from lurcher.index_builder.stages.encode_passages import run as encode_passages


def build_cluster(
    corpus: Path, out: Path, shards: int, options: BuildOptions | None = None,
    report: Reporter | None = None, *, encode: EncodeChunks | None = None,
    chunk_size: int = CHUNK_SIZE,
) -> ClusterFile:  # fmt: skip
    """What ``cluster.json`` says in the new folder ``out``: ``corpus`` as bundles of so many ``shards``.

    ``encode`` does the encoding, None: this process. A build that was killed goes on where it was when it is
    called again with the same arguments, unless it was splitting. Raises as ``build``, and FieldError for too
    many shards.
    """
    options, report = options or BuildOptions(), report or Silent()
    if shards < 1:
        raise FieldError("shards", f"must be at least 1, not {shards}")
    if os.path.lexists(out):
        raise FieldError("out", f"{out} exists; remove it first, or choose another name")
    work = out.parent / f"{out.name}.partial"
    # So named, because a bundle has the name of its folder.
    whole, made = work / f"{out.name}.lurcher", work / "cluster"
    for left in (whole, made):  # of a run that was killed while it split
        shutil.rmtree(left, ignore_errors=True)
    build(
        corpus,
        whole,
        options,
        report,
        chunk_size=chunk_size,
        stages=[*_stages(encode or encode_here)],
    )
    try:
        with closing(Bundle.open(whole, check_hashes=False)) as bundle:
            cluster = split(bundle, made, shards, report)
        aside = skipped_file(whole)
        if aside.exists():
            aside.rename(skipped_file(out))
        made.rename(out)
        sync_all([out.parent])
    except OSError as error:  # a full disk, most likely
        raise BundleError(out, f"cannot be written: {error}") from error
    shutil.rmtree(work)
    return cluster


def _stages(encode: EncodeChunks) -> Iterator[Stage]:
    """The stages of a build, of which ``encode`` does the work of the longest."""
    for stage in STAGES:
        if stage.name == "vectors":
            yield replace(stage, run=partial(encode_passages, encode=encode))
        else:
            yield stage
