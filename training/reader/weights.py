"""A reader's weights read back from its INT8 graph, so that training can go on from what ships.

``training.compression.int8_static`` writes a product's matrix as ``X_int8`` with a scale of each column, and
where an activation's channels are multiplied by ``ACTIVATION_factor``, as ``X_for_ACTIVATION_int8`` with its
rows divided by it. What rounding took is lost: half a step of 127, at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper

from lurcher.errors import ModelError
from lurcher.models.reader.reader import READER_GRAPH, load_reader_config
from lurcher.training.reader.network import Reader, Shape

_PRODUCT = "MatMulIntegerToFloat"
_INT8, _FACTOR, _FOR = "_int8", "_factor", "_for_"
# In place of a scale where an activation has one for each token: there the weights' is a 127th
# (``training.compression.int8``).
_UNSCALED = "int8_one"

Arrays = dict[str, npt.NDArray[np.float32]]


def restore(folder: Path) -> Reader:
    """The reader in ``folder``, ready to be trained on. Raises ModelError, ModelNotFound."""
    config = load_reader_config(folder)
    shape = Shape(config.dimension, config.width, config.heads, config.layers, config.inner)
    reader = Reader(shape)
    found = _named(onnx.load(folder / READER_GRAPH), reader, folder)
    state = {name: torch.from_numpy(found[name].copy()) for name in found}
    reader.load_state_dict(state)
    return reader


def _named(graph: onnx.ModelProto, reader: Reader, folder: Path) -> Arrays:
    """The weights of ``reader`` by their names in it, as ``graph`` has them."""
    arrays = {one.name: numpy_helper.to_array(one) for one in graph.graph.initializer}
    prefix = "reader."
    found: Arrays = {
        name.removeprefix(prefix): array.astype(np.float32)
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
    matrices = _matrices(graph, arrays)
    biases = [array for name, array in arrays.items() if _is_pair_bias(name, array, reader)]
    # Both in the order in which the graph was traced, which is that of the layers.
    wanted = [name for name, _ in reader.named_parameters() if name not in found]
    pairs = [name for name in wanted if name.endswith("pair_bias")]
    products = [name for name in wanted if not name.endswith("pair_bias")]
    if len(matrices) != len(products) or len(biases) != len(pairs):
        raise ModelError(f"{folder / READER_GRAPH}: not the graph of a reader of its description")
    found |= {name: array[:, :-1] for name, array in zip(pairs, biases, strict=True)}
    found |= {name: array.T for name, array in zip(products, matrices, strict=True)}
    for name, part in reader.named_parameters():
        if found[name].shape != tuple(part.shape):
            reason = f"{name} is {found[name].shape}, not {tuple(part.shape)} as described"
            raise ModelError(f"{folder / READER_GRAPH}: {reason}")
    return found


def _is_pair_bias(name: str, array: npt.NDArray[np.float32], reader: Reader) -> bool:
    """Whether an initializer is a layer's pair bias, which has the mask's column beside it."""
    layer = reader.layers[0]
    return "MatMul" in name and array.shape == (layer.heads, layer.pair_bias.shape[1] + 1)


def _matrices(
    graph: onnx.ModelProto, arrays: Mapping[str, npt.NDArray[np.float32]]
) -> list[npt.NDArray[np.float32]]:
    """The matrices (inputs, outputs) of all products of ``graph``, as numbers, in its order."""
    found = []
    for node in graph.graph.node:
        if node.op_type != _PRODUCT:
            continue
        _, weight, activation_scale, scale, *_ = node.input
        matrix = arrays[weight].astype(np.float32) * arrays[scale]
        if activation_scale == _UNSCALED:
            matrix *= 127
        _, _, activation = weight.removesuffix(_INT8).partition(_FOR)
        if activation:
            matrix *= arrays[activation + _FACTOR][:, None]
        found.append(matrix)
    return found
