"""What executes an ONNX graph: one module a runtime, behind one protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy.typing as npt


class Engine(Protocol):
    """A loaded graph; safe to call from several threads at once."""

    def run(
        self, outputs: Sequence[str], inputs: Mapping[str, npt.NDArray[Any]]
    ) -> list[npt.NDArray[Any]]:
        """The arrays of ``outputs``, in that order."""
