"""How tokens are coded where there is no corpus: by what several corpora have in common.

::

    general.npz    in an encoder's folder, beside projection.npz
      mean         (d,) float32, the mean over corpora of their means
      frequency    (vocabulary,) float32, the mean over corpora of each token's document frequency

`training/tokens/general.py` makes it of bundles.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lurcher.errors import ModelError
from lurcher.models.tokens.coder import TokenCoder
from lurcher.models.tokens.projection import PROJECTION_FILE, Projection, read_arrays

GENERAL_FILE = "general.npz"


def general_coder(encoder: Path) -> TokenCoder | None:
    """The coder in the ``encoder``'s folder for texts of no corpus, None without one. Raises ModelError."""
    file = encoder / GENERAL_FILE
    if not file.is_file():
        return None
    projection = Projection.load(encoder / PROJECTION_FILE)
    parts = read_arrays(file, ("mean", "frequency"))
    mean, frequency = parts["mean"], parts["frequency"]
    if mean.shape != (projection.dimension,) or not ((frequency > 0) & (frequency <= 1)).all():
        raise ModelError(f"{file}: does not fit {PROJECTION_FILE} beside it")
    return TokenCoder(mean, projection, frequency)


def save_general(coders: Sequence[TokenCoder], encoder: Path) -> None:
    """Write what ``coders`` of several corpora have in common into the ``encoder``'s folder.

    Raises ModelError if one is of another encoder or projection.
    """
    wanted = Projection.load(encoder / PROJECTION_FILE).projection_hash
    for coder in coders:
        if coder.projection_hash != wanted:
            raise ModelError(f"{encoder}: a bundle's tokens are of another projection")
    with (encoder / GENERAL_FILE).open("wb") as out:
        np.savez(
            out,
            mean=np.mean([one.mean for one in coders], axis=0, dtype=np.float64).astype(np.float32),
            frequency=np.mean([one.frequency for one in coders], axis=0, dtype=np.float64).astype(
                np.float32
            ),
        )
