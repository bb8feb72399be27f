"""Another query encoder for a bundle that is there: a new bundle, in which no passage is encoded anew.

Everything but ``encoder/`` and the manifest is shared with the old bundle by hard links. A student's
vectors lie a little off the teacher's, so the index takes more effort to find what exact search would:
the effort is tuned until as much is found as was before.
"""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import faiss

from bundle.bundle import ENCODER, Bundle
from bundle.manifest import Manifest, Swap, list_files, lurcher_version, write_manifest
from bundle.neighbours import NeighbourSettings
from index_builder.measure import recall_at, sample_queries, tune
from index_builder.progress import Reporter, Silent
from index_builder.workspace import publish
from models.encoders.encoder import Encoder
from models.encoders.merge import link_or_copy, merge, student_of
from models.encoders.student import StudentConfig
from models.errors import BundleError, FieldError
from models.threads import available_cpus


def swap_encoder(
    bundle: Path, student: Path | None, out: Path | None = None, report: Reporter | None = None
) -> tuple[Path, Manifest]:
    """The new bundle and its manifest: ``bundle``, with its queries read by ``student``.

    ``student`` is the folder of one, or None for the bundle's encoder itself. ``out`` None is a name
    beside ``bundle``, made of its name and the student's. The old bundle stays as it is.

    Raises FieldError for a student of another teacher or dimension, or where ``out`` exists, and
    BundleError where the disk gives up: then there is no ``out``. BundleError, ModelError for what
    cannot be read.
    """
    with closing(Bundle.open(bundle)) as old:
        described = None if student is None else student_of(old.manifest.encoder, student)
        out = out or _beside(bundle.resolve(), old.manifest, described)
        if os.path.lexists(out):
            raise FieldError("out", f"{out} exists; remove it first, or choose another name")
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as work:
                made = Path(work) / "bundle"  # the folder around it is for our eyes only
                manifest = _write(old, student, made, out, report or Silent())
                publish(made, out)
        except OSError as error:  # a full disk, most likely
            raise BundleError(out, f"cannot be written: {error}; {bundle} is as it was") from error
    return out, manifest


def _write(old: Bundle, student: Path | None, made: Path, out: Path, report: Reporter) -> Manifest:
    """The manifest of the bundle written to ``made``, whose name is to be ``out``."""
    faiss.omp_set_num_threads(available_cpus())
    made.mkdir()
    for part in old.files():
        if part.parts[0] != ENCODER:
            (made / part).parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(old.path / part, made / part)
    encoder = merge(old.path / ENCODER, student, made / ENCODER)
    effort, swap = _tuned(old, Encoder.load(made / ENCODER, "query"), report)
    manifest = old.manifest.model_copy(
        update={
            "lurcher_version": lurcher_version(),
            "name": out.name.removesuffix(".lurcher"),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "encoder": encoder,
            "figures": old.manifest.figures.model_copy(update={"search_effort": effort}),
            "swap": swap,
            "neighbours": _searched_as_hard(old.manifest.neighbours, effort),
            "files": list_files(made),
        }
    )
    write_manifest(made, manifest)
    return manifest


def _searched_as_hard(
    neighbours: NeighbourSettings | None, effort: int | None
) -> NeighbourSettings | None:
    """``neighbours`` searched at least as hard as passages, which the adapted ones lie among."""
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
        built_effort, built = figures.search_effort, old.query_encoder()
        built_recall = recall_at(old.vectors, stored, built, queries, built_effort)
    else:
        built_effort, built_recall = before.built_effort, before.built_recall
    effort, recall = tune(old.vectors, stored, encoder, queries, built_recall, report)
    return effort, Swap(built_effort=built_effort, built_recall=built_recall, recall=recall)


def _beside(bundle: Path, manifest: Manifest, student: StudentConfig | None) -> Path:
    """``NAME-STUDENT.lurcher`` beside ``NAME.lurcher``; what an earlier swap added is left out."""
    name = bundle.name.removesuffix(".lurcher")
    if manifest.swap is not None:
        name = name.removesuffix(f"-{_label(manifest.encoder.student)}")
    return bundle.with_name(f"{name}-{_label(student)}.lurcher")


def _label(student: StudentConfig | None) -> str:
    return "teacher" if student is None else re.sub(r"[^\w.-]+", "-", student.name)
