"""A text encoder packed for the native library."""

from __future__ import annotations

import ctypes
import weakref
from typing import Any, Literal, NoReturn, get_args

import numpy as np

from lurcher.errors import ModelError
from lurcher.models.engines.native.description import Description, Matrix, Norm
from lurcher.models.engines.native.library import LEVELS, Level, Library, address, level_number
from lurcher.models.engines.native.onnx_file import Array

# How matrices are packed; "auto": sparse if that is faster.
Form = Literal["dense", "sparse", "auto"]
# As the library numbers them: see encoder.h.
_QKV, _OUT, _UP, _DOWN, _HEAD = range(5)
_OUTPUTS = ("vector", "token_states", "lower_states")
_NO_MEMORY = 3  # what the library says of a workspace that is too small


class _Workspace:
    """Arrays of one call after the other, whose addresses are known: NumPy takes long to tell them."""

    def __init__(self) -> None:
        self.size = self.numbers_at = self.memory_at = 0
        self._numbers, self._memory = np.empty(0, np.int64), np.empty(0, np.uint8)

    def take_texts(self, lengths: Array, ids: Array) -> None:
        """Lay ``lengths`` (B,), and behind them ``ids``, at ``numbers_at``."""
        count = len(lengths)
        if (needed := count + len(ids)) > len(self._numbers):
            self._numbers = np.empty(2 * needed, np.int64)
            self.numbers_at = address(self._numbers)
        self._numbers[:count] = lengths
        self._numbers[count:needed] = ids

    def make_room(self, size: int) -> None:
        """Have ``size`` bytes at ``memory_at``."""
        self._memory, self.size = np.empty(size, np.uint8), size
        self.memory_at = address(self._memory)


class PackedEncoder:
    """The library's copy of an encoder's weights; safe to call from several threads at once."""

    def __init__(
        self,
        library: Library,
        described: Description,
        level: Level | None = None,
        form: Form = "auto",
    ) -> None:
        """Pack ``described`` for ``level``. Raises ModelError for weights that cannot be used."""
        self._library = library
        self._width, self._lower_layer = described.width, described.lower_layer
        # What ``encode`` can give.
        self.outputs = _OUTPUTS if described.lower_layer >= 0 else _OUTPUTS[:2]
        self.words, self.max_tokens = len(described.words), len(described.positions)
        self.level: Level = LEVELS[level_number(library, level)]
        layers = described.layers
        self._inner = len(layers[0].up.bias) if layers else 4
        sizes = np.array(
            [described.width, described.heads, self._inner, len(layers), len(described.positions),
             len(described.words), described.cls, described.unit], np.int64,
        )  # fmt: skip
        made = library.functions["lurcher_encoder_new"](LEVELS.index(self.level), address(sizes))
        if not made:
            raise ModelError(f"the native engine has no kernels for sizes {sizes.tolist()}")
        self._handle = ctypes.c_void_p(made)
        weakref.finalize(self, library.functions["lurcher_encoder_free"], self._handle)
        # The library reads words where they are, and copies all else.
        self._table = np.ascontiguousarray(described.words)
        self._scales = described.word_scales
        self._encode = library.functions["lurcher_encode"]
        self._memory = library.functions["lurcher_encoder_memory"]
        # Workspaces that no call is using: as many as calls ran side by side.
        self._spare: list[_Workspace] = []
        self._give_all(described, get_args(Form).index(form))

    def encode(
        self, ids: Array, lengths: Array, longest: int, outputs: tuple[str, ...]
    ) -> list[Array]:
        """The ``outputs`` of texts of ``lengths`` (B,) tokens ``ids``, one after the other.

        (B, d) of vectors and (B, longest, d) of states, zeros where a text has ended. Raises ValueError for
        texts that are too long and for tokens that there are not.
        """
        texts, width, tokens = len(lengths), self._width, len(ids)
        made = {
            name: np.empty(
                (texts, width) if name == "vector" else (texts, longest, width), np.float32
            )
            for name in outputs
        }
        outs = [address(made[name]) if name in made else None for name in _OUTPUTS]
        try:
            workspace = self._spare.pop()
        except IndexError:
            workspace = _Workspace()
        workspace.take_texts(lengths, ids)
        while True:
            state = self._encode(
                self._handle, workspace.numbers_at + 8 * texts, tokens, workspace.numbers_at, texts,
                longest * width, self._lower_layer, *outs, workspace.memory_at, workspace.size,
            )  # fmt: skip
            if state != _NO_MEMORY:
                break
            workspace.make_room(self._memory(self._handle, workspace.numbers_at, texts))
        self._spare.append(workspace)
        if state:
            self._explain(ids, np.asarray(lengths))
        return [made[name] for name in outputs]

    def _explain(self, ids: Array, lengths: Array) -> NoReturn:
        """Raise the error that says why these texts were refused."""
        if len(ids) != lengths.sum():
            raise ValueError(f"{len(ids)} tokens, but lengths add up to {lengths.sum()}")
        if lengths.max() > self.max_tokens:
            raise ValueError(f"texts of {lengths.max()} tokens; it reads {self.max_tokens} at most")
        raise ValueError(f"lengths below 0, or tokens beyond its {self.words} words")

    def _give_all(self, described: Description, form: int) -> None:
        words = address(self._table)
        integers = self._table.dtype == np.int8
        self._give(
            "tables", words if integers else None, None if self._scales is None else address(self._scales),
            None if integers else words, *_addresses(described.positions, described.type_row),
            *_norm(described.first),
        )  # fmt: skip
        for number, layer in enumerate(described.layers):
            for which, norm in enumerate((layer.after_attention, layer.after_feed)):
                self._give("norm", number, which, *_norm(norm))
            for which, matrix in (
                (_QKV, layer.qkv),
                (_OUT, layer.out),
                (_UP, layer.up),
                (_DOWN, layer.down),
            ):
                self._give_matrix(number, which, matrix, form)
        if described.head is not None:
            self._give_matrix(0, _HEAD, described.head, form)
        self._give("ready")

    def _give_matrix(self, layer: int, which: int, matrix: Matrix, form: int) -> None:
        width, inner = self._width, self._inner
        shapes = (
            (width, 3 * width),
            (width, width),
            (width, inner),
            (inner, width),
            (width, width),
        )
        if matrix.weights.shape != shapes[which]:
            raise ModelError(f"a matrix {matrix.weights.shape} where {shapes[which]} is due")
        weights = np.ascontiguousarray(matrix.weights, np.int8)
        factor = None if matrix.factor is None else np.ascontiguousarray(matrix.factor, np.float32)
        self._give(
            "matrix", layer, which, *_addresses(weights, matrix.scale, matrix.bias),
            None if factor is None else address(factor), matrix.step, matrix.zero, form,
        )  # fmt: skip

    def _give(self, what: str, *arguments: Any) -> None:
        """Hand numbers to the library."""
        if self._library.call(f"lurcher_encoder_{what}", self._handle, *arguments):
            raise ModelError(f"its weights are not finite, not INT8 or not complete ({what})")


def _addresses(*arrays: Array) -> list[int]:
    return [address(array) for array in arrays]


def _norm(norm: Norm) -> list[Any]:
    return [*_addresses(norm.gain, norm.bias), norm.epsilon]
