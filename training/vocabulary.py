"""A graph written with its vocabulary in a file of its own, which other graphs can share.

The vocabulary's embeddings are half of a small encoder, and a student keeps its teacher's. So they
are ONNX external data: the graph names ``vocabulary.bin`` beside it and a place in there, and ONNX
Runtime maps that file. All else stays in the graph.
"""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import EncodeError
from onnx import numpy_helper

from lurcher.errors import ModelError
from lurcher.models.encoders.config import VOCABULARY_FILE

# Tables begin at whole pages of memory, as they are mapped.
_PAGE = 4_096


def write_graph(graph: onnx.ModelProto, file: Path) -> None:
    """Write ``graph`` to ``file``, and its token tables, if it has any, to ``vocabulary.bin`` beside.

    The same graph gives the same bytes. Raises ModelError for a graph too large for a file.
    """
    moved = onnx.ModelProto()
    moved.CopyFrom(graph)
    vocabulary = bytearray()
    for table in _tables(moved):
        content = numpy_helper.to_array(table).tobytes()
        vocabulary.extend(bytes(-len(vocabulary) % _PAGE))
        _refer(table, len(vocabulary), len(content))
        vocabulary += content
    file.write_bytes(_serialise(moved, file))
    if vocabulary:
        file.with_name(VOCABULARY_FILE).write_bytes(vocabulary)


def write_sharing(graph: onnx.ModelProto, file: Path, vocabulary: Path) -> bool:
    """Write ``graph`` to ``file``; whether it uses tables in ``vocabulary`` instead of its own.

    It does for those that are there, byte for byte; ``file`` then works beside that ``vocabulary.bin``
    only. Others stay in ``file``. Raises ModelError for a graph too large for a file.
    """
    moved = onnx.ModelProto()
    moved.CopyFrom(graph)
    shared = vocabulary.read_bytes() if vocabulary.is_file() else b""
    shares = False
    for table in _tables(moved):
        content = numpy_helper.to_array(table).tobytes()
        place = _page_of(content, shared)
        if place is not None:
            _refer(table, place, len(content))
            shares = True
    file.write_bytes(_serialise(moved, file))
    return shares


def _tables(graph: onnx.ModelProto) -> list[onnx.TensorProto]:
    """The tables that ``graph`` reads by token id, the widest first, whatever order it has them in."""
    read_by_id = {n.input[0] for n in graph.graph.node if _by_token_id(n)}
    tables = [t for t in graph.graph.initializer if t.name in read_by_id and len(t.dims) == 2]
    return sorted(tables, key=lambda t: (-t.dims[1], t.name))


def _page_of(content: bytes, shared: bytes) -> int | None:
    """Where in ``shared`` a page begins with ``content``."""
    place = shared.find(content)
    while place % _PAGE and place >= 0:
        place = shared.find(content, place + 1)
    return None if place < 0 else place


def _by_token_id(node: onnx.NodeProto) -> bool:
    return bool(node.op_type == "Gather" and node.input[1] == "input_ids")


def _refer(table: onnx.TensorProto, offset: int, length: int) -> None:
    """Leave of ``table`` where in ``vocabulary.bin`` it is."""
    place = {"location": VOCABULARY_FILE, "offset": str(offset), "length": str(length)}
    dims, data_type, name = list(table.dims), table.data_type, table.name
    table.Clear()
    table.dims.extend(dims)
    table.data_type, table.name = data_type, name
    table.data_location = onnx.TensorProto.EXTERNAL
    for key, value in place.items():
        entry = table.external_data.add()
        entry.key, entry.value = key, value


def _serialise(graph: onnx.ModelProto, file: Path) -> bytes:
    """``graph`` as the bytes of ``file``."""
    try:
        serialised: bytes = graph.SerializeToString()
    # All that protobuf says is that it failed, and its size is the only reason there is.
    except EncodeError as error:
        raise ModelError(
            f"{file.name}: the graph is above 2 GB, the most that fits into one ONNX file; "
            "INT8 takes about a quarter of what fp32 takes"
        ) from error
    return serialised
