"""Stage ``lexical``: the inverted index of the passages' terms."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np

from lurcher.bundle.bundle import SEGMENT
from lurcher.bundle.fail_points import FailPoint, carry_on
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
    count, report = context.passages.count, context.report
    report.stage("indexing terms", count)
    language = options.language or _detected(context)
    average = write_index(
        _passages(context), count, language, context.bundle / SEGMENT, runs,
        advance=report.advance, fail_point=context.fail_point,
    )  # fmt: skip
    settings = describe_lexical(
        context.bundle, SEGMENT, language, count, average, K1, B, TITLE_WEIGHT
    )
    (context.scratch / LEXICAL_NOTES).write_text(settings.model_dump_json())


def write_index(
    passages: Iterable[Sequence[Passage]], count: int, language: Language, segment: Path, runs: Path,
    average: float | None = None, advance: Callable[[int], object] = str,
    fail_point: FailPoint = carry_on,
) -> float:  # fmt: skip
    """Write the index of ``count`` passages, which come some at a time, into the folder ``segment``.

    Returns the average length of a passage by which it counts: ``average``, None: that of these. The folder
    ``runs`` is made and removed. ``advance`` counts passages.
    """
    runs.mkdir()
    collected = RunWriter(runs, TITLE_WEIGHT)
    analyser = Analyser(language)
    for some in passages:
        for passage in some:
            collected.add(analyser.terms(passage.text), analyser.terms(passage.heading))
        advance(len(some))
    collected.flush()
    fail_point("lexical: runs written")
    lengths = np.frombuffer(collected.lengths, np.float32)
    if average is None:
        average = float(lengths.mean(dtype=np.float64)) if count else 0.0
    with LexicalWriter(segment, count, fail_point) as writer:
        merge_runs(runs, collected.runs, length_norms(lengths, average, K1, B), writer)
    shutil.rmtree(runs)
    return average


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
