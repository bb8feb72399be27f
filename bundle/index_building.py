"""How a FAISS index of passage vectors is made and written; ``vectors`` searches it."""

from __future__ import annotations

import math

import faiss
import numpy as np

from lurcher.bundle.chunks import chunks
from lurcher.bundle.index_codes import add_vectors, allow_reconstruction, core_of
from lurcher.bundle.vectors import FEW, MANY, Progress, Vectors, faiss_reason
from lurcher.errors import FieldError

# Candidates that a refinement scores again for each row wanted; FAISS's own 1 would only reorder.
_REFINED = 4


def default_factory(count: int) -> str:
    """The FAISS factory string for ``count`` vectors: flat, then HNSW over bytes, then inverted lists."""
    if count <= FEW:
        return "Flat"
    return "HNSW32_SQ8" if count <= MANY else f"IVF{4 * math.isqrt(count)},SQ8"


def empty_index(dimension: int, factory: str) -> faiss.Index:
    """An empty FAISS index for vectors of ``dimension``.

    Raises FieldError where FAISS does not know the factory string, or the index cannot give its
    vectors back, which filters need.
    """
    try:
        index = faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise FieldError(
            "index", f"FAISS does not know {factory!r}: {faiss_reason(error)}"
        ) from error
    if isinstance(core_of(index), faiss.IndexIVFFastScan) and not isinstance(
        index, faiss.IndexRefine
    ):
        # FAISS 1.15 crashes when it reconstructs from such lists once they were written and read.
        raise FieldError(
            "index", "fast-scan lists need a refinement: add ',RFlat' or ',Refine(SQ8)'"
        )
    return index


def build_index(vectors: Vectors, factory: str, seed: int, progress: Progress) -> faiss.Index:
    """A trained FAISS index of ``vectors`` (n, d) float32, added in chunks.

    Raises FieldError where FAISS cannot make that index of so many vectors.
    """
    count, dimension = vectors.shape
    index = empty_index(dimension, factory)
    try:
        if not index.is_trained:
            core = core_of(index)
            # FAISS's k-means samples 256 points a centroid itself; more need not leave the disk.
            centroids = core.nlist if isinstance(core, faiss.IndexIVF) else 0
            size = min(count, 256 * max(256, centroids))
            sample = np.random.default_rng(seed).choice(count, size, replace=False)
            _train(index, np.ascontiguousarray(vectors[np.sort(sample)]))
        for rows in chunks(count):
            add_vectors(index, np.ascontiguousarray(vectors[rows]))
            progress(rows.stop - rows.start)
        allow_reconstruction(index)
        index.reconstruct(0)
        if isinstance(index, faiss.IndexRefine):
            index.k_factor = _REFINED
    except RuntimeError as error:
        raise FieldError(
            "index", f"FAISS cannot make {factory!r} of {count} vectors: {faiss_reason(error)}"
        ) from error
    return index


def _train(index: faiss.Index, sample: Vectors) -> None:
    outer = (
        faiss.downcast_index(index.base_index) if isinstance(index, faiss.IndexRefine) else index
    )
    if isinstance(outer, faiss.IndexPreTransform):
        first = faiss.downcast_VectorTransform(outer.chain.at(0))
        if isinstance(first, faiss.PCAMatrix):
            # PCA takes the mean off, which inner products do not survive; a sample and its mirror
            # image have none. FAISS would cut a larger sample by itself, and keep half an image.
            some = sample[:: math.ceil(len(sample) / (64 * index.d))]
            first.train(np.concatenate([some, -some]))
    index.train(sample)
