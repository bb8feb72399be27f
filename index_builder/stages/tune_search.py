"""Stage ``search effort``: the least effort at which the bundle's query encoder finds enough."""

from __future__ import annotations

import json

from lurcher.bundle.bundle import ENCODER, VECTORS
from lurcher.bundle.vectors import VectorIndex
from lurcher.index_builder.build_context import BuildContext
from lurcher.index_builder.search_effort import sample_queries, tune
from lurcher.index_builder.stages.encode_passages import encoded_vectors
from lurcher.models.encoders.encoder import Encoder
from lurcher.threads import available_cpus

# Below the workspace's scratch folder: what was measured, under the names of the manifest's figures.
SEARCH_EFFORT = "search_effort.json"


def run(context: BuildContext) -> None:
    """Tune the effort and note it with the recall that it reaches; neither if vectors are left out."""
    if not context.options.vectors:
        _note(context, None, None, 0)
        return
    queries = sample_queries(context.passages, context.options.seed)
    dimension = context.models.encoder.config.dimension
    effort, recall = tune(
        VectorIndex.open(context.bundle / VECTORS, None),
        encoded_vectors(context.scratch, context.passages.count, dimension),
        Encoder.load(context.bundle / ENCODER, "query", available_cpus(), context.options.engine),
        queries, context.options.recall, context.report,
    )  # fmt: skip
    _note(context, effort, round(recall, 4), len(queries))


def _note(context: BuildContext, effort: int | None, recall: float | None, queries: int) -> None:
    figures = {"search_effort": effort, "recall_at_100": recall, "recall_queries": queries}
    (context.scratch / SEARCH_EFFORT).write_text(json.dumps(figures))
