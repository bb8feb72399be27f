"""Models that are loaded, by what is in their files: bundles with the same ones share them.

Only weak references are held, so that a model goes with the last bundle that uses it.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from lurcher.bundle.manifest import Manifest

_Model = TypeVar("_Model")


class ModelCache:
    """Loads each model once, for all that ask for it; any thread may ask."""

    def __init__(self) -> None:
        self._loaded: WeakValueDictionary[tuple[object, ...], Any] = WeakValueDictionary()
        self._lock = Lock()

    def get(
        self, manifest: Manifest, folder: str, use: tuple[object, ...], load: Callable[[], _Model]
    ) -> _Model:
        """Return the model in ``folder`` of a bundle with ``manifest``, loaded by ``load`` if it is not yet.

        ``use`` tells apart what one folder may be loaded for. Raises what ``load`` raises.
        """
        files = (
            (name, one) for name, one in manifest.files.items() if name.startswith(f"{folder}/")
        )
        key = (tuple(sorted((name, one.sha256, one.bytes) for name, one in files)), folder, *use)
        with self._lock:
            found: _Model | None = self._loaded.get(key)
            if found is None:
                self._loaded[key] = found = load()
            return found
