"""Stage ``lexical``: the inverted index of the passages' terms."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import astuple

import numpy as np

from lurcher.bundle.bundle import SEGMENT
from lurcher.bundle.lexical_files import (
    LexicalSettings,
    LexicalWriter,
    describe_lexical,
    lexical_files,
)
from lurcher.bundle.passages import Passage
from lurcher.index_builder.build_context import BuildContext
from lurcher.index_builder.lexical_runs import RunWriter, merge_runs
from lurcher.models.lexical.analyser import ANALYSER_VERSION, Analyser
from lurcher.models.lexical.bm25 import K1, TITLE_WEIGHT, B, length_norms
from lurcher.models.lexical.languages import Language, detect_language

# Below the scratch folder: what the manifest says of the index; the runs, while it is written.
LEXICAL_NOTES = "lexical.json"
_RUNS = "lexical-runs"

# Passages that are read at once; passages that tell the language.
_TOGETHER, _SAMPLE = 1_000, 1_000


def depends_on(context: BuildContext) -> object:
    """What was asked for, the version of the analyser and the weights of the formula."""
    options = context.options.lexical
    return options and [*astuple(options), ANALYSER_VERSION, K1, B, TITLE_WEIGHT]


def run(context: BuildContext) -> None:
    """Write the index and what the manifest says of it; nothing, if it is to be left out.

    It takes seconds, so a run that was killed is not continued: the next one starts again.
    """
    options, runs = context.options.lexical, context.scratch / _RUNS
    shutil.rmtree(runs, ignore_errors=True)
    for file in (*lexical_files(context.bundle, SEGMENT), context.scratch / LEXICAL_NOTES):
        file.unlink(missing_ok=True)
    if options is None:
        return
    runs.mkdir()
    count, report = context.passages.count, context.report
    report.stage("indexing terms", count)
    language = options.language or _detected(context)
    collected = RunWriter(runs, TITLE_WEIGHT)
    analyser = Analyser(language)
    for passages in _passages(context):
        for passage in passages:
            collected.add(analyser.terms(passage.text), analyser.terms(passage.heading))
        report.advance(len(passages))
    collected.flush()
    context.fail_point("lexical: runs written")
    lengths = np.frombuffer(collected.lengths, np.float32)
    average = float(lengths.mean(dtype=np.float64)) if count else 0.0
    with LexicalWriter(context.bundle / SEGMENT, count, context.fail_point) as writer:
        merge_runs(runs, collected.runs, length_norms(lengths, average, K1, B), writer)
    shutil.rmtree(runs)
    settings = describe_lexical(
        context.bundle, SEGMENT, language, count, average, K1, B, TITLE_WEIGHT
    )
    (context.scratch / LEXICAL_NOTES).write_text(settings.model_dump_json())


def noted_settings(context: BuildContext) -> LexicalSettings | None:
    """What the manifest says of the index that the stage wrote; None if there is none."""
    if context.options.lexical is None:
        return None
    return LexicalSettings.model_validate_json((context.scratch / LEXICAL_NOTES).read_text())


def _passages(context: BuildContext) -> Iterator[list[Passage]]:
    """All passages, in order, some at a time."""
    count = context.passages.count
    for start in range(0, count, _TOGETHER):
        yield context.passages.get(range(start, min(start + _TOGETHER, count)))


def _detected(context: BuildContext) -> Language:
    """The language of passages taken at even distances from the whole corpus."""
    count = context.passages.count
    rows = np.unique(np.linspace(0, count - 1, min(count, _SAMPLE)).astype(np.int64))
    return detect_language(context.passages.contents(rows.tolist()))
