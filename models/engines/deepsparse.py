"""DeepSparse 1.8.0: an optional engine with kernels for sparse weights, for evaluation only.

Its last release, with peculiarities that this module deals with (see docs/engines.md):

- a graph is compiled for one shape, so texts are padded to a few lengths, one text a call;
- it overwrites the graph that it is given, so it gets a copy;
- it ends the whole process on some graphs, so a child process tries each graph first;
- with NumPy 2 it computes wrong numbers and says nothing, so it is refused there;
- importing it looks up where the machine is and reports home, unless the environment forbids it.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lurcher.errors import ModelError
from lurcher.threads import available_cpus

# Measured (docs/engines.md): a product of up to 32 rows takes time by the row and gains nothing from
# zeros; one of 33 or more does, and then 33 cost less than 20. So there is nothing between 16 and 48.
_LENGTHS = (8, 12, 16, 48, 64, 96, 128, 192, 256, 384, 512)
_TRIED = 48
# Below it most operators run in the ONNX Runtime 1.15 that DeepSparse falls back on. INT8 graphs in
# the form that ships have .42 to .44, float32 ones .70 (one layer) to .98.
_LEAST_SUPPORTED = 0.5
_CRASHED = "it ends the process that compiles this graph"


class DeepSparseEngine:
    """A text encoder's graph in DeepSparse: inputs (B, L) integers, outputs (B, d) or (B, L, d).

    A length is compiled, for a second or two, when it is first needed.
    """

    def __init__(self, graph: Path, threads: int) -> None:
        """Load ``graph``; one call to ``run`` uses ``threads`` cores.

        Raises ModelError where DeepSparse is missing, cannot run here or cannot run the graph.
        """
        self._graph = graph
        self._library = load_library()
        cores = max(threads, available_cpus())
        # One scheduler for all lengths: engines of their own would pin their threads to one core.
        self._context = self._library.Context(num_cores=cores, num_streams=cores // threads)
        self._compiled: dict[int, Any] = {}
        self._lock = threading.Lock()
        self._try()
        supported = self._engine(_TRIED).fraction_of_supported_ops
        if supported < _LEAST_SUPPORTED:
            raise ModelError(
                f"{graph}: DeepSparse has kernels for {supported:.0%} of its operators and would be "
                f"slower than engine 'onnxruntime'; use that, or a float32 student"
            )

    def run(
        self, outputs: Sequence[str], inputs: Mapping[str, npt.NDArray[Any]]
    ) -> list[npt.NDArray[Any]]:
        """The arrays of ``outputs``, in that order."""
        length = next(iter(inputs.values())).shape[1]
        bucket = next((size for size in _LENGTHS if size >= length), -(-length // 512) * 512)
        engine = self._engine(bucket)
        # Padding is id 0 under mask 0.
        padded = [
            np.pad(inputs[name], ((0, 0), (0, bucket - length))) for name in engine.input_names
        ]
        places = [engine.output_names.index(name) for name in outputs]
        rows = []
        for row in range(len(padded[0])):
            found = engine.run([array[row : row + 1] for array in padded], val_inp=False)
            rows.append([found[place] for place in places])
        joined = [np.concatenate(arrays) for arrays in zip(*rows, strict=True)]
        return [array[:, :length] if array.ndim == 3 else array for array in joined]

    def _engine(self, length: int) -> Any:
        """The engine for texts of ``length`` tokens, compiled if it has not been."""
        with self._lock:
            if length not in self._compiled:
                self._compiled[length] = self._compile(length)
            return self._compiled[length]

    def _compile(self, length: int) -> Any:
        with tempfile.TemporaryDirectory(prefix="deepsparse.") as folder:
            copy = _copy(self._graph, Path(folder))
            try:
                return self._library.MultiModelEngine(
                    str(copy), batch_size=1, context=self._context, input_shapes=[[1, length]]
                )
            # Its own errors are RuntimeErrors and AssertionErrors, onnx's are DecodeErrors.
            except Exception as error:
                raise ModelError(f"{self._graph}: DeepSparse cannot run it: {error}") from error

    def _try(self) -> None:
        """Compile in a child process; raises ModelError where that ends without a word of Python's."""
        with tempfile.TemporaryDirectory(prefix="deepsparse.") as folder:
            code = (
                "import sys; from deepsparse import Engine\n"
                "try: Engine(sys.argv[1], 1, 1, input_shapes=[[1, int(sys.argv[2])]])\n"
                "except Exception: pass\n"  # which the parent is about to raise itself
                "sys.stdout.write('alive')"
            )
            child = subprocess.run(
                [sys.executable, "-c", code, str(_copy(self._graph, Path(folder))), str(_TRIED)],
                capture_output=True,
                text=True,
                check=False,
            )
        if child.stdout != "alive":
            why = next((line for line in child.stderr.splitlines() if "Assertion" in line), "")
            raise ModelError(
                f"{self._graph}: DeepSparse cannot run it: {_CRASHED}{why and f' ({why})'}; "
                f"use engine 'onnxruntime'"
            )


def _copy(graph: Path, folder: Path) -> Path:
    """A copy of ``graph`` in ``folder``, beside links to the files that its tensors may be kept in."""
    try:
        for file in graph.parent.iterdir():
            if file.is_file() and file.name != graph.name:
                (folder / file.name).symlink_to(file.resolve())
        return Path(shutil.copyfile(graph, folder / graph.name))
    except OSError as error:
        raise ModelError(f"{graph}: cannot be read: {error}") from error


def load_library() -> Any:
    """The module ``deepsparse``, silent and without its reports home. Raises ModelError."""
    problem = "engine 'deepsparse' cannot be used"
    instead = "leave the engine at 'auto'"
    if sys.platform != "linux" or sys.version_info >= (3, 12):
        raise ModelError(
            f"{problem} on {platform.system()} with Python {platform.python_version()}: deepsparse "
            f"1.8.0 is for Linux and Python 3.11; {instead}"
        )
    if importlib.util.find_spec("deepsparse") is None:
        raise ModelError(
            f"{problem}: it is not installed; pip install 'lurcher[deepsparse]' in an environment "
            f"of its own (docs/engines.md), or {instead}"
        )
    if int(np.__version__.split(".")[0]) >= 2:
        raise ModelError(
            f"{problem} with NumPy {np.__version__}: it would compute wrong numbers; "
            f"pip install 'numpy<2', or {instead}"
        )
    # Read when it is imported, here and in the child: without it, it asks ident.me for this
    # machine's address and sends events to google-analytics.com.
    os.environ["NM_DISABLE_ANALYTICS"] = "1"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # modules that Python 3.12 and 3.13 no longer have
            import deepsparse
    # An OSError where the processor has neither AVX2 nor AVX-512, or cannot be asked.
    except (ImportError, OSError) as error:
        raise ModelError(f"{problem} on this machine: {error}; {instead}") from error
    logging.getLogger("deepsparse").setLevel(logging.WARNING)
    return deepsparse
