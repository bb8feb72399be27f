"""An ONNX graph's nodes and constants, read from its file without the package onnx.

The file is a protocol buffer: fields of a number and a wire type, which messages nest. Only what the graphs
of text encoders hold is read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lurcher.errors import ModelError

Array = npt.NDArray[Any]

_VARINT, _LONG, _BYTES, _WORD = 0, 1, 2, 5
# TensorProto.DataType
_TYPES = {1: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8", 9: "?", 11: "<f8"}
TYPES = {number: np.dtype(name) for number, name in _TYPES.items()}


@dataclass(frozen=True)
class Node:
    """One operator."""

    op: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Graph:
    """The nodes in the order that they run in, and the constants by name."""

    nodes: list[Node]
    constants: dict[str, Array]
    outputs: list[str]
    producers: dict[str, Node] = field(init=False)
    consumers: dict[str, list[Node]] = field(init=False)

    def __post_init__(self) -> None:
        """Index the nodes by what they make and take."""
        consumers: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in node.inputs:
                consumers.setdefault(name, []).append(node)
        producers = {name: node for node in self.nodes for name in node.outputs}
        object.__setattr__(self, "producers", producers)
        object.__setattr__(self, "consumers", consumers)


def read_graph(path: Path) -> Graph:
    """The graph in the file ``path``; constants in files beside it are mapped, not read.

    Raises ModelError for a file that is not whole or holds what is not known here.
    """
    try:
        model = _fields(memoryview(path.read_bytes()))
        (graph,) = model[7]
        parts = _fields(graph)
        tensors = [_tensor(part, path.parent) for part in parts.get(5, [])]
        outputs = [_text(_fields(part)[1][0]) for part in parts.get(12, [])]
        nodes = [_node(part, path.parent) for part in parts.get(1, [])]
    except (OSError, ValueError, KeyError, IndexError, struct.error, TypeError) as error:
        raise ModelError(f"{path}: no ONNX graph that can be read: {error!r}") from error
    return Graph(nodes, dict(tensors), outputs)


# Of nodes: ONNX's own operators, under either name, and those of ONNX Runtime.
_DOMAINS = {"", "ai.onnx", "com.microsoft"}


def check_plain(path: Path) -> None:
    """Raise ModelError where the graph in the file ``path`` could run for ever, or reads files elsewhere.

    Only a node with a graph of its own (Loop, Scan, If, SequenceMap) can repeat work; a graph without any
    runs each node once. Constants have to be in the file or beside it.
    """
    try:
        fault = _fault(path.read_bytes())
    except (OSError, ValueError, KeyError, IndexError, struct.error, TypeError) as error:
        raise ModelError(f"{path}: no ONNX graph that can be read: {error!r}") from error
    if fault is not None:
        raise ModelError(f"{path}: {fault}")


def _fault(content: bytes) -> str | None:
    """Why a model is not run; None if it is."""
    model = _fields(memoryview(content))
    if 25 in model:
        return "it has functions of its own, which are not run"
    (graph,) = model[7]
    parts = _fields(graph)
    for message in parts.get(1, []):
        node = _fields(message)
        op = _text(node[4][0])
        domain = _text(node[7][0]) if 7 in node else ""
        if domain not in _DOMAINS:
            return f"the operator {op} of {domain[:100]!r} is not known"
        for attribute in map(_fields, node.get(5, [])):
            # AttributeProto.g and graphs
            if 6 in attribute or 11 in attribute:
                return f"the operator {op} has a graph of its own, which is not run"
    for tensor in map(_fields, parts.get(5, [])):
        for entry in map(_fields, tensor.get(13, [])):
            key, value = _text(entry[1][0]), _text(entry[2][0])
            if key == "location" and value != Path(value).name:
                return f"constants in {value[:100]!r}, which is not beside it"
    return None


def _fields(message: memoryview) -> dict[int, list[Any]]:
    """The values of a message by field number."""
    found: dict[int, list[Any]] = {}
    for number, value in _walk(message):
        found.setdefault(number, []).append(value)
    return found


def _walk(message: memoryview) -> Iterator[tuple[int, Any]]:
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        value: Any
        if (kind := key & 7) == _VARINT:
            value, place = _varint(message, place)
        elif kind == _BYTES:
            length, place = _varint(message, place)
            value, place = message[place : place + length], place + length
        elif kind == _WORD:
            (value,), place = struct.unpack_from("<f", message, place), place + 4
        elif kind == _LONG:
            (value,), place = struct.unpack_from("<q", message, place), place + 8
        else:
            raise ValueError(f"wire type {kind}")
        if place > len(message):
            raise ValueError("cut short")
        yield key >> 3, value


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            # Negative numbers have all 64 bits.
            return (value - (1 << 64) if value >> 63 else value), place
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def _text(value: memoryview) -> str:
    return bytes(value).decode()


def _integers(values: list[Any]) -> list[int]:
    """Repeated integers, each a field of its own or packed into one."""
    found: list[int] = []
    for value in values:
        if isinstance(value, int):
            found.append(value)
            continue
        place = 0
        while place < len(value):
            one, place = _varint(value, place)
            found.append(one)
    return found


def _tensor(message: memoryview, folder: Path) -> tuple[str, Array]:
    """A constant's name and value."""
    parts = _fields(message)
    shape = tuple(_integers(parts.get(1, [])))
    dtype = TYPES[parts[2][0]]
    name = _text(parts[8][0]) if 8 in parts else ""
    size = int(np.prod(shape, dtype=np.int64))
    if 13 in parts:
        entries = [_fields(entry) for entry in parts[13]]
        said = {_text(entry[1][0]): _text(entry[2][0]) for entry in entries}
        file = folder / Path(said["location"]).name  # beside the graph, whatever it says
        mapped = np.memmap(file, dtype, "r", int(said.get("offset", "0")), (size,))
        return name, mapped.reshape(shape)
    if 9 in parts:
        values: Array = np.frombuffer(parts[9][0], dtype)
    elif 4 in parts:
        values = np.frombuffer(b"".join(_packed_floats(parts[4])), dtype)
    else:
        values = np.array(_integers(parts.get(5, []) or parts.get(7, [])), dtype)
    if values.size != size:
        raise ValueError(f"constant {name!r} has {values.size} numbers, not {size}")
    return name, values.reshape(shape)


def _packed_floats(values: list[Any]) -> Iterator[bytes]:
    for value in values:
        yield struct.pack("<f", value) if isinstance(value, float) else bytes(value)


def _node(message: memoryview, folder: Path) -> Node:
    parts = _fields(message)
    attributes = {}
    for attribute in parts.get(5, []):
        one = _fields(attribute)
        value: Any = None
        if 5 in one:
            value = _tensor(one[5][0], folder)[1]
        elif 8 in one:
            value = _integers(one[8])
        elif 4 in one:
            value = _text(one[4][0])
        elif 2 in one:
            value = one[2][0]
        elif 3 in one:
            value = one[3][0]
        attributes[_text(one[1][0])] = value
    return Node(
        _text(parts[4][0]),
        [_text(name) for name in parts.get(1, [])],
        [_text(name) for name in parts.get(2, [])],
        attributes,
    )
