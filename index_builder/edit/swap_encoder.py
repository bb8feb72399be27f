"""Another query encoder for a bundle that exists: a new bundle, in which no passage is encoded again.

Everything but ``encoder/`` and the manifest is shared with the old bundle by hard links. A student's
vectors differ a little from the teacher's, so the index needs more effort to find what exact search finds:
the effort is tuned until its recall is what it was.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import faiss

from lurcher.bundle.bundle import ENCODER, Bundle
from lurcher.bundle.fail_points import FailPoint, carry_on
from lurcher.bundle.manifest import Manifest, Swap
from lurcher.bundle.neighbours import NeighbourSettings
from lurcher.index_builder.edit.derive import beside, derive
from lurcher.index_builder.lexical_gain import lexical_gain, own_phrases
from lurcher.index_builder.progress import Reporter, Silent
from lurcher.index_builder.search_effort import recall_at, sample_queries, tune
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.encoders.merge import merge, student_of
from lurcher.models.encoders.student import StudentConfig
from lurcher.threads import available_cpus


def swap_encoder(
    bundle: Path, student: Path | None, out: Path | None = None, report: Reporter | None = None,
    *, fail_point: FailPoint = carry_on,
) -> tuple[Path, Manifest]:  # fmt: skip
    """The new bundle and its manifest: ``bundle`` with the student in the folder ``student``.

    ``student`` None: the bundle's encoder itself. ``out`` None: a name beside ``bundle``, made of its name
    and the student's. The old bundle is not changed.

    Raises FieldError for a student of another teacher or dimension, or if ``out`` exists; BundleError if the
    disk fails; ``out`` does not exist then. BundleError, ModelError for files that cannot be read.
    """
    with closing(Bundle.open(bundle)) as old:
        teacher = old.encoder
        described = None if student is None else student_of(teacher, student)
        before = None if old.manifest.swap is None else _name(teacher.student)
        out = out or beside(bundle.resolve(), before, _name(described))

        def write(made: Path) -> dict[str, Any]:
            return _write(old, student, made, report or Silent(), fail_point)

        return out, derive(old, out, ENCODER, write, fail_point)


def _write(
    old: Bundle, student: Path | None, made: Path, report: Reporter, fail_point: FailPoint
) -> dict[str, Any]:
    """Write ``encoder/`` below ``made``; what changes in the manifest."""
    faiss.omp_set_num_threads(available_cpus())
    fail_point("encoder: begun")
    encoder = merge(old.path / ENCODER, student, made / ENCODER)
    fail_point("search effort: begun")
    queries = Encoder.load(made / ENCODER, "query", available_cpus())
    effort, swap = _tuned(old, queries, report)
    figures: dict[str, int | float | None] = {"search_effort": effort}
    if old.lexical is not None:
        phrases = own_phrases(old.passages, old.manifest.build.seed)
        figures["lexical_gain"] = round(lexical_gain(phrases, queries, old.vectors, old.lexical), 4)
    return {
        "encoder": encoder,
        "figures": old.manifest.figures.model_copy(update=figures),
        "swap": swap,
        "neighbours": _searched_as_hard(old.manifest.neighbours, effort),
    }


def _searched_as_hard(
    neighbours: NeighbourSettings | None, effort: int | None
) -> NeighbourSettings | None:
    """``neighbours`` with search efforts at least that of passages, which the adapted vectors lie among."""
    if neighbours is None or effort is None:
        return neighbours
    efforts = {
        name: max(before, effort)
        for name in ("adapted_effort", "search_effort")
        if (before := getattr(neighbours, name)) is not None
    }
    return neighbours.model_copy(update=efforts)


def _tuned(old: Bundle, encoder: Encoder, report: Reporter) -> tuple[int | None, Swap]:
    """The search effort at which ``encoder`` loses as little as the build's did, and the recalls."""
    figures, before = old.manifest.figures, old.manifest.swap
    queries = sample_queries(old.passages, old.manifest.build.seed)
    stored = old.vectors.stored()
    if before is None:
        report.stage("measuring", None)
        built_effort, built = figures.search_effort, old.query_encoder(available_cpus())
        built_recall = recall_at(old.vectors, stored, built, queries, built_effort)
    else:
        built_effort, built_recall = before.built_effort, before.built_recall
    effort, recall = tune(old.vectors, stored, encoder, queries, built_recall, report)
    return effort, Swap(built_effort=built_effort, built_recall=built_recall, recall=recall)


def _name(student: StudentConfig | None) -> str:
    return "teacher" if student is None else student.name
