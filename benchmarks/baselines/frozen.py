"""What of a transformer stays as it is, so that a benchmark's training takes less time."""

from __future__ import annotations

from typing import Any

_FROZEN = 2  # layers from below, which with the embeddings stay: a quarter of a step's time


def freeze_below(transformer: Any) -> None:
    """Leave the embeddings and the lowest layers of ``transformer`` as they are."""
    layers = transformer.encoder.layer
    # A tiny model keeps at least its last layer to train.
    frozen = layers[: min(_FROZEN, len(layers) - 1)]
    # What the head does not read has no gradient to be trained by.
    unused = [pooler] if (pooler := transformer.pooler) is not None else []
    for module in (transformer.embeddings, *frozen, *unused):
        module.requires_grad_(False)
