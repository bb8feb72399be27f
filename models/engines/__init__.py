"""What executes an ONNX graph: one module a runtime, behind one protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy.typing as npt

EngineName = Literal["onnxruntime", "deepsparse"]


class Engine(Protocol):
    """A loaded graph; safe to call from several threads at once."""

    def run(
        self, outputs: Sequence[str], inputs: Mapping[str, npt.NDArray[Any]]
    ) -> list[npt.NDArray[Any]]:
        """The arrays of ``outputs``, in that order."""


def open_engine(name: EngineName, graph: Path, threads: int) -> Engine:
    """``graph``, loaded by the engine ``name``; one call to ``run`` uses ``threads`` cores.

    Raises ModelError where that engine cannot run here, or cannot run the graph.
    """
    # Imported here: who serves with one engine neither has nor waits for the other.
    if name == "deepsparse":
        from models.engines.deepsparse import DeepSparseEngine

        return DeepSparseEngine(graph, threads)
    from models.engines.ort import OnnxRuntimeEngine

    return OnnxRuntimeEngine(graph, threads)
