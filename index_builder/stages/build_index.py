"""Stage ``index``: the FAISS index of the vectors."""

from __future__ import annotations

from lurcher.bundle.bundle import VECTORS
from lurcher.bundle.index_building import build_index, default_factory
from lurcher.bundle.vectors import write_index
from lurcher.index_builder.build_context import BuildContext
from lurcher.index_builder.stages.encode_passages import encoded_vectors


def depends_on(context: BuildContext) -> object:
    """The factory string that was asked for, and the seed."""
    return [context.options.index, context.options.seed]


def run(context: BuildContext) -> None:
    """Train, fill and write the index; nothing if vectors are left out.

    Raises FieldError if FAISS cannot make it of so many vectors.
    """
    if not context.options.vectors:
        return
    count, report = context.passages.count, context.report
    vectors = encoded_vectors(context.scratch, count, context.models.encoder.config.dimension)
    report.stage("indexing", count)
    index = build_index(vectors, factory_of(context), context.options.seed, report.advance)
    write_index(index, context.bundle / VECTORS)


def factory_of(context: BuildContext) -> str:
    """The FAISS factory string of the index; "none" if vectors are left out."""
    if not context.options.vectors:
        return "none"
    index = context.options.index
    return default_factory(context.passages.count) if index == "auto" else index
