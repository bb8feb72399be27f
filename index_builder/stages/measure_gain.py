"""Stage ``lexical gain``: how much the lexical score is to count."""

from __future__ import annotations

import json

from lurcher.bundle.bundle import ENCODER, SEGMENT, VECTORS
from lurcher.bundle.lexical_index import LexicalIndex
from lurcher.bundle.vectors import VectorIndex
from lurcher.index_builder.build_context import BuildContext
from lurcher.index_builder.lexical_gain import lexical_gain, own_phrases
from lurcher.index_builder.stages.index_terms import noted_settings
from lurcher.index_builder.stages.tune_search import SEARCH_EFFORT
from lurcher.models.encoders.encoder import Encoder
from lurcher.threads import available_cpus

# Below the workspace's scratch folder: what was measured.
LEXICAL_GAIN = "lexical_gain.txt"


def run(context: BuildContext) -> None:
    """Measure and note it; nothing where there is one index alone."""
    settings = noted_settings(context)
    file = context.scratch / LEXICAL_GAIN
    file.unlink(missing_ok=True)
    if settings is None or not context.options.vectors:
        return
    context.report.stage("measuring", None)
    effort = json.loads((context.scratch / SEARCH_EFFORT).read_text())["search_effort"]
    gain = lexical_gain(
        own_phrases(context.passages, context.options.seed),
        Encoder.load(context.bundle / ENCODER, "query", available_cpus(), context.options.engine),
        VectorIndex.open(context.bundle / VECTORS, effort),
        LexicalIndex.open(context.bundle, SEGMENT, settings, context.passages.count),
    )
    file.write_text(str(round(gain, 4)))


def noted_gain(context: BuildContext) -> float | None:
    """What was measured; None where there is one index alone."""
    file = context.scratch / LEXICAL_GAIN
    return float(file.read_text()) if file.is_file() else None
