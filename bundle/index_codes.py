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


def reconstructed(index: faiss.Index, rows: Rows) -> Vectors:
    """The vectors (n, d) of ``rows`` (n,), decoded."""
    if isinstance(index, faiss.IndexPreTransform) and len(rows):
        return np.stack([index.reconstruct(row) for row in rows.tolist()])
    vectors: Vectors = index.reconstruct_batch(rows)
    return vectors
