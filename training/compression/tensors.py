"""What a graph's tensors hold for given inputs, inner tensors too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy.typing as npt
import onnx
import onnxruntime
from google.protobuf.message import EncodeError

from lurcher.errors import ModelError

Tensor = npt.NDArray[Any]
Inputs = Mapping[str, Tensor]


def evaluate(
    graph: onnx.ModelProto, names: Sequence[str], batches: Iterable[Inputs]
) -> Iterator[list[Tensor]]:
    """For each of ``batches`` the tensors ``names`` of ``graph``, in that order.

    One thread, so that sums do not depend on the machine's load. Raises ModelError for a graph above
    2 GB and for one that ONNX Runtime cannot load or run.
    """
    watched = onnx.ModelProto()
    watched.CopyFrom(graph)
    shown = {output.name for output in watched.graph.output}
    # Without a type: ONNX Runtime infers it.
    watched.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in shown)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            _serialise(watched), options, providers=["CPUExecutionProvider"]
        )
        for inputs in batches:
            yield session.run(list(names), dict(inputs))
    except ModelError:
        raise
    # ONNX Runtime's exceptions share no base class but Exception.
    except Exception as error:
        raise ModelError(f"ONNX Runtime cannot run the graph: {error}") from error


def _serialise(graph: onnx.ModelProto) -> bytes:
    try:
        serialised: bytes = graph.SerializeToString()
    # All that protobuf says is that it failed, and its size is the only reason there is.
    except EncodeError as error:
        raise ModelError(
            "the graph is above 2 GB, the most that fits into memory as one"
        ) from error
    return serialised
