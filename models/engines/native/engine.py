"""The native engine: text encoders in INT8, by the kernels of this machine's instruction set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lurcher.errors import ModelError
from lurcher.models.engines.native.description import Description
from lurcher.models.engines.native.encoder import Form, PackedEncoder
from lurcher.models.engines.native.library import Level, Library, load
from lurcher.models.engines.native.onnx_file import Array
from lurcher.models.engines.native.recognition import describe

_BLOCK = 4  # inputs, that one instruction multiplies


class NativeEngine:
    """A text encoder's graph run by the native library; safe to call from several threads at once.

    Inputs are (B, L) integers; outputs (B, d), or (B, L, d) with zeros where the mask has them. A text's
    numbers are the same to the last bit in every batch. A call runs on the thread that makes it.
    """

    def __init__(
        self,
        graph: Path,
        library: Library | None = None,
        level: Level | None = None,
        form: Form = "auto",
    ) -> None:
        """Pack the weights of ``graph`` for ``level``; ``form`` packs all matrices alike.

        Raises ModelError where there is no library, or for a graph of another form.
        """
        if library is None:
            found = load()
            if isinstance(found, str):
                raise ModelError(
                    f"engine 'native' cannot be used: {found}; use engine 'onnxruntime'"
                )
            library = found
        self._graph = graph
        described = describe(graph)
        try:
            self._packed = PackedEncoder(library, described, level, form)
        except ModelError as error:
            raise ModelError(f"{graph}: {error}") from error
        self.level = self._packed.level
        self.words, self.max_tokens = self._packed.words, self._packed.max_tokens
        # The share of blocks of four inputs of one output that are all zero: these cost no time.
        self.zeros = _zeros(described)

    def run(self, outputs: Sequence[str], inputs: Mapping[str, Array]) -> list[Array]:
        """The arrays of ``outputs``, in that order. Raises ModelError for inputs that cannot be encoded."""
        unknown = [name for name in outputs if name not in self._packed.outputs]
        if unknown:
            raise ModelError(f"{self._graph}: it has no output {unknown[0]!r}")
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        if ids.shape != mask.shape or ids.ndim != 2:
            raise ModelError(f"{self._graph}: tokens {ids.shape} under a mask {mask.shape}")
        if np.count_nonzero(mask) == mask.size:  # as of one query
            tokens, lengths = ids.reshape(-1), np.full(len(ids), ids.shape[1])
        else:
            given = mask != 0
            tokens, lengths = ids[given], given.sum(axis=1)
            if not np.array_equal(given, np.arange(ids.shape[1]) < lengths[:, None]):
                raise ModelError(
                    f"{self._graph}: the native engine reads texts that are padded at their ends"
                )
        try:
            return self._packed.encode(tokens, lengths, ids.shape[1], tuple(outputs))
        except ValueError as error:
            raise ModelError(f"{self._graph}: {error}") from error


def _zeros(described: Description) -> float:
    """The share of blocks of zeros in all layers' weights; 0 without layers."""
    blocks = empty = 0
    for layer in described.layers:
        for matrix in (layer.qkv, layer.out, layer.up, layer.down):
            weights = matrix.weights  # (K, N), K a multiple of 4
            full = weights.reshape(-1, _BLOCK, weights.shape[1]).any(axis=1)
            blocks, empty = blocks + full.size, empty + full.size - int(full.sum())
    return empty / max(blocks, 1)
