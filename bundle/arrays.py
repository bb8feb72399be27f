"""Arrays in NumPy's own files, of a shape that is known before anything of them is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lurcher.errors import BundleCorrupt


def read_array(
    bundle: Path, name: str, dtype: npt.DTypeLike, shape: tuple[int, ...]
) -> npt.NDArray[Any]:
    """The array in the file ``name`` of ``bundle``. Raises BundleCorrupt if it is not of that shape and type.

    NumPy takes the memory for what a file's head says before it looks how long the file is.
    """
    try:
        with (bundle / name).open("rb") as file:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):
                raise ValueError(f"NumPy's format {version[0]}.{version[1]}, expected 1.0")
            found, _, kind = np.lib.format.read_array_header_1_0(file)
            if kind != np.dtype(dtype) or found != shape:
                expected = f"expected {np.dtype(dtype)} {shape}"
                raise BundleCorrupt(bundle, name, f"has {kind} {found}, {expected}")
            file.seek(0)
            array: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise BundleCorrupt(bundle, name, str(error)) from error
    return array
