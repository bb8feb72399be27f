"""ONNX Runtime: the reference engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnxruntime

from lurcher.errors import ModelError
from lurcher.models.engines.native.onnx_file import check_plain

# Fusions that cost time. One kernel for bias and GELU takes 2 to 3 % longer, over a whole six-layer
# encoder, than an addition and the kernel for GELU alone.
_NOT_FUSED = ["BiasGeluFusion"]


class OnnxRuntimeEngine:
    """An ONNX Runtime session on the CPU that does not spin while it waits."""

    def __init__(self, graph: Path, threads: int) -> None:
        """Load ``graph``; one call to ``run`` uses ``threads`` cores.

        Raises ModelError where ONNX Runtime cannot load it, or it could run for ever.
        """
        check_plain(graph)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only; they come back as exceptions too
        # Spinning threads would take the cores from the web server and from FAISS.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                str(graph),
                options,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=_NOT_FUSED,
            )
        # ONNX Runtime's exceptions share no base class but Exception.
        except Exception as error:
            raise ModelError(f"{graph}: ONNX Runtime cannot load it: {error}") from error

    def run(
        self, outputs: Sequence[str], inputs: Mapping[str, npt.NDArray[Any]]
    ) -> list[npt.NDArray[Any]]:
        """The arrays of ``outputs``, in that order."""
        found: list[npt.NDArray[Any]] = self._session.run(list(outputs), dict(inputs))
        return found
