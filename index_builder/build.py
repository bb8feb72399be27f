"""A corpus to a bundle, in stages that a kill cannot spoil (see ``stages``)."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import faiss

from lurcher.bundle.fail_points import FailPoint, carry_on
from lurcher.bundle.manifest import Manifest
from lurcher.errors import BundleError, CorpusError
from lurcher.index_builder.build_context import BuildContext
from lurcher.index_builder.build_models import load_models
from lurcher.index_builder.corpus import corpus_files, read_corpus
from lurcher.index_builder.options import BuildOptions, TokenOptions
from lurcher.index_builder.progress import Reporter, Silent
from lurcher.index_builder.seal import seal
from lurcher.index_builder.stage import Stage, run_stages
from lurcher.index_builder.stages import STAGES
from lurcher.index_builder.stages.store_passages import skipped_file
from lurcher.index_builder.workspace import Workspace
from lurcher.threads import available_cpus

__all__ = ["CHUNK_SIZE", "BuildOptions", "TokenOptions", "build", "skipped_file"]

# Records or passages that are worked on before anything is written: enough to sort by length well, and what
# a kill costs.
CHUNK_SIZE = 1_024


def build(
    corpus: Path, out: Path, options: BuildOptions | None = None, report: Reporter | None = None,
    *, chunk_size: int = CHUNK_SIZE, fail_point: FailPoint = carry_on,
    stages: Sequence[Stage] = STAGES,
) -> Manifest:  # fmt: skip
    """The manifest of the bundle ``out``, built from ``corpus``.

    A build that was killed goes on where it was when it is called again with the same arguments. Tests let
    it fail: ``fail_point`` is called with the name of each moment between two steps. ``stages`` are those of
    ``STAGES``, some of which may do their work elsewhere.

    Raises CorpusError, FieldError, ModelError or ModelNotFound, and BundleError if the disk fails; ``out``
    does not exist then.
    """
    options, report = options or BuildOptions(), report or Silent()
    files = corpus_files(corpus)
    records = read_corpus(corpus, options.reading)
    models = load_models(options)
    workspace = Workspace(out, fail_point)
    context = BuildContext(
        corpus, files, records, options, models, workspace, workspace.bundle, workspace.scratch,
        report, chunk_size, fail_point,
    )  # fmt: skip
    faiss.omp_set_num_threads(available_cpus())
    try:
        run_stages(stages, context)
        manifest = seal(context)
        workspace.publish()
    except CorpusError:
        workspace.discard()  # nothing worth going on with: the corpus has to change
        raise
    except (OSError, sqlite3.OperationalError) as error:  # a full disk, most likely
        reason = f"cannot be written: {error}; what is done is kept for a rerun"
        raise BundleError(out, reason) from error
    finally:
        context.close()
        workspace.close()
    return manifest
