"""The native library: what it offers, and why not if it cannot be had.

Its functions are called without Python's lock held, each on the thread that calls it.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

LIBRARY_FILE = Path(__file__).with_name("native_library.so")

Level = Literal["plain", "avx2", "avxvnni", "avx512", "amx", "dotprod"]
# This kind of machine's instruction sets, as the library numbers them.
LEVELS: tuple[Level, ...] = (
    ("plain", "dotprod")
    if platform.machine().lower() in ("aarch64", "arm64")
    else ("plain", "avx2", "avxvnni", "avx512", "amx")
)

# What its functions take; see lurcher_abi in levels.c.
_ABI = 2

_pointer, _int, _long, _float = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_float
_SIGNATURES: dict[str, list[Any]] = {
    "lurcher_level": [],
    "lurcher_has": [_int],
    "lurcher_abi": [],
    "lurcher_late": [
        _int, _pointer, _long, _long, _float, _pointer, _long, _pointer, _long, _float, _pointer, _pointer,
    ],
    "lurcher_encoder_new": [_int, _pointer],
    "lurcher_encoder_free": [_pointer],
    "lurcher_encoder_tables": [_pointer] * 8 + [_float],
    "lurcher_encoder_norm": [_pointer, _int, _int, _pointer, _pointer, _float],
    "lurcher_encoder_matrix": [_pointer, _int, _int, *[_pointer] * 4, _float, _int, _int],
    "lurcher_encoder_ready": [_pointer],
    "lurcher_encoder_memory": [_pointer, _pointer, _long],
    "lurcher_encode": [_pointer, _pointer, _long, _pointer, _long, _long, _int, *[_pointer] * 4, _long],
}  # fmt: skip
# Where it is not an int.
_RETURNS = {
    "lurcher_encoder_new": ctypes.c_void_p, "lurcher_encoder_free": None, "lurcher_encoder_memory": _long,
}  # fmt: skip


class Library:
    """The functions of a native library that has been loaded."""

    def __init__(self, path: Path) -> None:
        """Load the library at ``path``. Raises OSError where it cannot be used."""
        loaded = ctypes.CDLL(str(path))
        self.functions: dict[str, Callable[..., Any]] = {}
        for name, arguments in _SIGNATURES.items():
            try:
                function = loaded[name]
            except AttributeError as error:
                raise OSError(f"{path}: it has no function {name}") from error
            function.argtypes, function.restype = arguments, _RETURNS.get(name, ctypes.c_int)
            self.functions[name] = function
        if (abi := self.call("lurcher_abi")) != _ABI:
            raise OSError(f"{path}: it was built from another version ({abi}, not {_ABI})")
        self.level: Level = LEVELS[self.call("lurcher_level")]
        # All that this machine has, in their order; ``level`` is the best.
        self.levels = [one for i, one in enumerate(LEVELS) if self.call("lurcher_has", i)]

    def call(self, name: str, *arguments: Any) -> int:
        """What the function ``name`` returns; arrays are passed by ``address``."""
        return int(self.functions[name](*arguments))


def address(array: npt.NDArray[np.generic]) -> int:
    """Where the numbers of ``array``, which lie one after the other, are."""
    if not array.flags.c_contiguous:
        raise ValueError("the array's numbers do not lie one after the other")
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array.data))
    except (TypeError, ValueError):  # read-only, or empty; this takes three times as long
        return array.ctypes.data


def level_number(library: Library, level: Level | None) -> int:
    """The number of ``level``, or of the best that this machine has for None.

    Raises ValueError where this machine does not have it.
    """
    level = level or library.level
    if level not in library.levels:
        raise ValueError(f"level {level!r}: this machine has {', '.join(library.levels)}")
    return LEVELS.index(level)


@cache
def load(path: Path = LIBRARY_FILE) -> Library | str:
    """The library at ``path``, or why it cannot be used."""
    if not path.exists():
        return f"it was not built on this {platform.machine()} machine: {path} does not exist"
    try:
        return Library(path)
    except OSError as error:
        return str(error)


def loaded() -> Library | None:
    """The library that was built with this package, or None where there is none."""
    found = load()
    return None if isinstance(found, str) else found
