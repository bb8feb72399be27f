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

from models.encoders.config import VOCABULARY_FILE
from models.errors import ModelError

# Tables begin at whole pages of memory, as they are mapped.
_PAGE = 4_096


def write_graph(graph: onnx.ModelProto, file: Path) -> None:
    """Write ``graph`` to ``file``, and its token tables, if it has any, to ``vocabulary.bin`` beside.

    The same graph gives the same bytes. Raises ModelError for a graph too large for a file.
    """
    moved = onnx.ModelProto()
    moved.CopyFrom(graph)
    vocabulary = _move_out(moved)
    file.write_bytes(_serialise(moved, file))
    if vocabulary:
        file.with_name(VOCABULARY_FILE).write_bytes(vocabulary)


def write_sharing(graph: onnx.ModelProto, file: Path, vocabulary: Path) -> bool:
    """Write ``graph`` to ``file``; whether it uses the tables in ``vocabulary`` instead of its own.

    It does where they are the same bytes; ``file`` then works beside that ``vocabulary.bin`` only.
    Otherwise ``file`` is complete by itself. Raises ModelError for a graph too large for a file.
    """
    moved = onnx.ModelProto()
    moved.CopyFrom(graph)
    tables = _move_out(moved)
    shares = bool(tables) and vocabulary.is_file() and vocabulary.read_bytes() == tables
    file.write_bytes(_serialise(moved if shares else graph, file))
    return shares


def _move_out(graph: onnx.ModelProto) -> bytes:
    """The bytes of the token tables of ``graph``, which from now on looks for them in a file."""
    read_by_id = {n.input[0] for n in graph.graph.node if _by_token_id(n)}
    tables = [t for t in graph.graph.initializer if t.name in read_by_id and len(t.dims) == 2]
    vocabulary = bytearray()
    # The largest first, whatever order the graph has them in.
    for table in sorted(tables, key=lambda t: (-t.dims[1], t.name)):
        content = numpy_helper.to_array(table).tobytes()
        vocabulary.extend(bytes(-len(vocabulary) % _PAGE))
        _refer(table, len(vocabulary), len(content))
        vocabulary += content
    return bytes(vocabulary)


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
