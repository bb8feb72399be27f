"""Engines execute ONNX graphs: one module per runtime, behind one protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from lurcher.errors import LurcherError, ModelError

if TYPE_CHECKING:  # `lurcher --help` names the engines, and should not wait for NumPy
    import numpy.typing as npt

EngineName = Literal["auto", "native", "onnxruntime", "deepsparse"]


class Engine(Protocol):
    """A loaded graph; safe to call from several threads at once."""

    def run(
        self, outputs: Sequence[str], inputs: Mapping[str, npt.NDArray[Any]]
    ) -> list[npt.NDArray[Any]]:
        """The arrays of ``outputs``, in that order."""


@dataclass(frozen=True)
class Choice:
    """An engine, its name, and why it is the one."""

    name: str
    engine: Engine
    reason: str


def open_engine(name: EngineName, graph: Path, threads: int) -> Engine:
    """The ``graph`` loaded by the engine ``name``; as ``choose_engine``."""
    return choose_engine(name, graph, threads).engine


def choose_engine(name: EngineName, graph: Path, threads: int) -> Choice:
    """The ``graph`` loaded by the engine ``name``, and why; one call to ``run`` uses ``threads`` cores.

    "auto" is the native engine if it gives ONNX Runtime's vectors, faster; it is for text encoders.

    Raises ModelError where that engine cannot run here, or cannot run the graph.
    """
    # Imported here: a server with one engine neither needs nor waits for the other.
    if name == "auto":
        from lurcher.models.engines.choice import chosen

        return chosen(graph, threads)
    engine: Engine
    if name == "deepsparse":
        from lurcher.models.engines.deepsparse import DeepSparseEngine

        engine = DeepSparseEngine(graph, threads)
    elif name == "native":
        from lurcher.models.engines.native.engine import NativeEngine

        engine = NativeEngine(graph)
    else:
        from lurcher.models.engines.ort import OnnxRuntimeEngine

        engine = OnnxRuntimeEngine(graph, threads)
    return Choice(name, engine, "it was asked for")


@contextmanager
def first_run(folder: Path) -> Iterator[None]:
    """Raise whatever fails in the block, the first run of the graphs in ``folder``, as ModelError.

    A graph that loads may still not be the one that its description names: the wrong file under the right
    name.
    """
    try:
        yield
    except LurcherError:
        raise
    # Engines' exceptions share no base class but Exception, and NumPy has others for wrong shapes.
    except Exception as error:
        reason = f"its graphs are not those that it describes: {error}"
        raise ModelError(f"{folder}: {reason}") from error
