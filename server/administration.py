"""What is served changes while it is served: collections are loaded, swapped, unloaded and named anew.

A bundle is opened and asked a query before anybody is sent to it. One that cannot be opened changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import structlog

from lurcher.errors import (
    BundleError,
    CollectionBusy,
    FeedbackCorrupt,
    FieldError,
    ModelError,
    WalCorrupt,
)
from lurcher.server.collection import Collection
from lurcher.server.collection_names import check_name, named
from lurcher.server.kept import Kept
from lurcher.server.opening import log_of
from lurcher.server.registry import Registry
from lurcher.server.served_bundle import ServedBundle
from lurcher.server.settings import Settings
from lurcher.server.sources import shown

_log = structlog.get_logger()

OpenBundle = Callable[[str, Path], Awaitable[ServedBundle]]


class Administration:
    """Changes what ``registry`` has; one change of a name at a time."""

    def __init__(
        self, settings: Settings, registry: Registry, open_bundle: OpenBundle, kept: Kept,
        named: Mapping[str, Path],
    ) -> None:  # fmt: skip
        """``named`` are the paths of what the settings name, and ``kept`` what was changed of that."""
        self._settings, self._registry, self._open = settings, registry, open_bundle
        self._kept, self._named = kept, named
        self._changing: set[str] = set()
        self._keeping = asyncio.Lock()

    async def load(self, name: str, path: Path) -> Collection:
        """Serve the bundle at ``path`` as ``name``, too. Raises FieldError or CollectionBusy."""
        check_name("name", name)
        with self._alone(name):
            collection = await self._load(name, path)
            self._kept.choose(name, path, self._named)
        return collection

    async def swap(self, name: str, path: Path) -> Collection:
        """Serve the bundle at ``path`` as ``name`` from now on. Raises FieldError or CollectionBusy.

        Requests in flight are answered from the bundle before. Should this fail, that stays in service.
        """
        with self._alone(name):
            collection = self._registry.exactly(name)
            await self._put(collection, path)
            self._kept.choose(name, path, self._named)
        return collection

    async def unload(self, name: str) -> None:
        """Serve ``name`` no more; requests in flight are answered. Raises FieldError or CollectionBusy."""
        with self._alone(name):
            await self._unload(name)
            self._kept.choose(name, None, self._named)

    async def keep(self) -> bool:
        """Have a restart keep what was changed, aliases too; return whether it does."""
        async with self._keeping:
            self._kept.aliases = dict(self._registry.aliases)
            return await asyncio.to_thread(self._kept.write)

    async def reload(self) -> None:
        """Make what is served that which the settings name and what is on the disk now.

        What an admin route changed stays, in its newest form. What fails is logged, and stays.
        """
        settings, registry = self._settings, self._registry
        try:
            self._named = await asyncio.to_thread(named, settings.bundle, settings.collections)
        except FieldError as error:
            _log.error("the collections stay as they are", reason=str(error))
            wanted = {one.name: one.path for one in registry}
        else:
            wanted = self._kept.over(self._named)
        for collection in registry:
            name = collection.name
            if name in wanted:
                await self._logged(name, partial(self._renewed, collection))
            else:
                await self._logged(name, partial(self._unload, name))
        there = {one.name for one in registry}
        for name, path in wanted.items():
            if name not in there:
                await self._logged(name, partial(self._load, name, path))

    async def _load(self, name: str, path: Path) -> Collection:
        self._registry.check_free(name)
        collection = Collection(name, path, self._settings)
        await self._put(collection, path)
        try:
            self._registry.add(collection)
        except FieldError:  # it has become an alias meanwhile
            await collection.remove()
            raise
        return collection

    async def _unload(self, name: str) -> None:
        await self._registry.remove(name).remove()
        _log.info("unloaded", collection=name)

    async def _renewed(self, collection: Collection) -> None:
        """Let ``collection`` have what is at its path now, if that is another bundle or generation."""
        bundle = collection.loaded()
        if await bundle.is_replaced():
            await self._put(collection, collection.path)
        elif not self._settings.writable and await bundle.refresh():
            _log.info("refreshed", collection=collection.name, passages=bundle.passages)

    async def _logged(self, name: str, change: Callable[[], Awaitable[object]]) -> None:
        try:
            with self._alone(name):
                await change()
        # Whatever it is: the others go on, and nobody awaits this.
        except Exception as error:
            _log.error("the collection stays as it is", collection=name, reason=str(error))

    async def _put(self, collection: Collection, path: Path) -> None:
        """Let ``collection`` have the bundle at ``path``. Raises FieldError."""
        if self._settings.writable:
            await self._check_written_once(path)
        log = log_of(self._settings, collection.name)
        try:
            bundle = await self._open(collection.name, path)
            await collection.put(bundle, log)
        except (BundleError, ModelError, FeedbackCorrupt, WalCorrupt) as error:
            raise FieldError("path", str(error)) from error
        except FieldError as error:
            raise FieldError("path", f"{shown(str(path))}: {error.reason}") from error
        served = bundle.serving.bundle
        _log.info("loaded", collection=collection.name, bundle=served, passages=bundle.passages)

    async def _check_written_once(self, path: Path) -> None:
        """Raise FieldError if the folder at ``path`` is in service already."""
        for one in self._registry:
            if one.bundle is not None and await one.bundle.is_at(path):
                reason = f"{shown(str(path))} is in service already, as {one.name!r}; a bundle has one writer"
                raise FieldError("path", reason)

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """Keep other changes of ``name`` out. Raises CollectionBusy."""
        if name in self._changing:
            raise CollectionBusy(name)
        self._changing.add(name)
        try:
            yield
        finally:
            self._changing.discard(name)


def allowed_path(given: str, folders: list[Path]) -> Path:
    """Return the path ``given`` if it lies below one of ``folders``; a relative one is one in them.

    Links are followed first. Raises FieldError for any other, whether there is anything or not.
    """
    for folder in folders:
        root = folder.resolve()
        try:
            found = (root / given).resolve()
        except (OSError, ValueError, RuntimeError):  # a null character, links in a circle
            break
        if found != root and found.is_relative_to(root):
            return found
    raise FieldError("path", f"{shown(given)} is not below a folder of the setting admin_folders")
