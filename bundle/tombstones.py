"""Which passages of a segment are deleted: one small file, replaced by another of the next generation.

::

    segments/000000/deleted-000007.npy    (ceil(n / 8),) uint8, one bit a row, the lowest first: 1 if deleted
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from lurcher.bundle.arrays import read_array
from lurcher.bundle.row_space import Mask
from lurcher.errors import BundleCorrupt


def deleted_file(segment: str, generation: int) -> str:
    """The name of the file that says, since ``generation``, what is deleted of the folder ``segment``."""
    return f"{segment}/deleted-{generation:06}.npy"


def write_deleted(bundle: Path, name: str, deleted: Mask) -> None:
    """Write ``deleted`` (n,) as the file ``name`` of ``bundle``."""
    np.save(bundle / name, np.packbits(deleted, bitorder="little"))


def read_deleted(bundle: Path, name: str, passages: int, deletions: int) -> Mask:
    """Which of so many ``passages`` are deleted, (n,), by the file ``name``. Raises BundleCorrupt.

    ``deletions`` is how many it has to name.
    """
    packed: npt.NDArray[np.uint8] = read_array(bundle, name, np.uint8, (-(-passages // 8),))
    bits = np.unpackbits(packed, bitorder="little").astype(np.bool_)
    if bits[passages:].any() or np.count_nonzero(bits) != deletions:
        reason = (
            f"names {np.count_nonzero(bits)} deleted passages, expected {deletions} of {passages}"
        )
        raise BundleCorrupt(bundle, name, reason)
    return bits[:passages]
