"""Vectors into the codes of a FAISS index and back, where equal vectors get equal codes.

FAISS applies a transform (PCA, OPQ) to all vectors as one matrix product that threads share out, and the last
rows of a share are summed in another order than the others: with two threads, three of 1,000 copies of one
vector differed in their last bits. So vectors are transformed one at a time, both ways, at some 20 us each.
"""

from __future__ import annotations

import faiss
import numpy as np
import numpy.typing as npt

from lurcher.bundle.passages import Rows

Vectors = npt.NDArray[np.float32]


def add_vectors(index: faiss.Index, vectors: Vectors) -> None:
    """Add ``vectors`` (n, d) to ``index``."""
    if isinstance(index, faiss.IndexRefine):
        add_vectors(faiss.downcast_index(index.base_index), vectors)
        index.refine_index.add(vectors)
        index.ntotal += len(vectors)
    elif isinstance(index, faiss.IndexPreTransform):
        for transform in map(index.chain.at, range(index.chain.size())):
            vectors = np.concatenate([transform.apply(vector[None]) for vector in vectors])
        add_vectors(faiss.downcast_index(index.index), vectors)
        index.ntotal += len(vectors)
    else:
        index.add(vectors)


def empty_like(index: faiss.Index) -> faiss.Index:
    """An empty index with the codes of ``index``, without its graph: a vector is stored alike in both."""
    if isinstance(index, faiss.IndexHNSW):
        index = faiss.downcast_index(index.storage)
    if isinstance(index, faiss.IndexFlat):
        return faiss.IndexFlat(index.d, index.metric_type)
    if isinstance(index, faiss.IndexScalarQuantizer):
        empty = faiss.IndexScalarQuantizer(index.d, index.sq.qtype, index.metric_type)
        faiss.copy_array_to_vector(faiss.vector_to_array(index.sq.trained), empty.sq.trained)
        empty.is_trained = True
        return empty
    empty = faiss.clone_index(index)
    empty.reset()
    return empty


def reconstructed(index: faiss.Index, rows: Rows) -> Vectors:
    """The vectors (n, d) of ``rows`` (n,), decoded."""
    if isinstance(index, faiss.IndexPreTransform) and len(rows):
        return np.stack([index.reconstruct(row) for row in rows.tolist()])
    vectors: Vectors = index.reconstruct_batch(rows)
    return vectors


def core_of(index: faiss.Index) -> faiss.Index:
    """The index that searches, out of its wrappers (a rotation before it, a refinement behind it)."""
    while True:
        if isinstance(index, faiss.IndexPreTransform):
            index = faiss.downcast_index(index.index)
        elif isinstance(index, faiss.IndexRefine):
            index = faiss.downcast_index(index.base_index)
        else:
            return index


def allow_reconstruction(index: faiss.Index) -> None:
    """Let inverted lists find a vector by its row: 8 bytes a vector, only where lists are."""
    core = core_of(index)
    if isinstance(core, faiss.IndexIVF) and core.direct_map.type == faiss.DirectMap.NoMap:
        core.make_direct_map()


class StoredVectors:
    """What an index gives back, a slice at a time; nothing is kept."""

    def __init__(self, index: faiss.Index) -> None:
        self._index = index

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def __getitem__(self, rows: slice, /) -> Vectors:
        return reconstructed(self._index, np.arange(rows.start, rows.stop))
