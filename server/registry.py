"""The collections of a server, by name; the first is the default."""

from __future__ import annotations

from collections.abc import Iterator

from lurcher.server.collection import Collection


class Registry:
    """Collections in the order in which they were added; used in the thread of the event loop."""

    def __init__(self) -> None:
        self._by_name: dict[str, Collection] = {}

    def __iter__(self) -> Iterator[Collection]:
        return iter(self._by_name.values())

    def add(self, collection: Collection) -> None:
        """Have ``collection``, too."""
        self._by_name[collection.name] = collection

    def get(self, name: str) -> Collection | None:
        """Return the collection ``name``, None if there is none."""
        return self._by_name.get(name)

    @property
    def default(self) -> Collection:
        """What requests ask that name none."""
        return next(iter(self))
