"""The collections of a server, by name; the first is the default."""

from __future__ import annotations

from collections.abc import Iterator

from lurcher.errors import FieldError, NoCollection
from lurcher.server.collection import Collection
from lurcher.server.sources import shown


class Registry:
    """Collections in the order in which they were added; used in the thread of the event loop."""

    def __init__(self, default: str | None = None) -> None:
        """``default`` is what requests ask that name none; None: the first that is added."""
        self._by_name: dict[str, Collection] = {}
        self.aliases: dict[str, str] = {}
        self._default = default

    def __iter__(self) -> Iterator[Collection]:
        return iter(list(self._by_name.values()))

    def get(self, name: str) -> Collection | None:
        """Return the collection of this name or alias, None if there is none."""
        return self._by_name.get(self.aliases.get(name, name))

    def exactly(self, name: str) -> Collection:
        """Return the collection ``name``, by no alias. Raises FieldError."""
        if name not in self._by_name:
            known = self.aliases.get(name)
            reason = f"there is no collection {shown(name)}"
            if known is not None:
                reason = f"{name!r} is an alias; its collection is {known!r}"
            raise FieldError("name", reason)
        return self._by_name[name]

    @property
    def default(self) -> Collection:
        """What requests ask that name none: the first that there was. Raises NoCollection."""
        found = None if self._default is None else self.get(self._default)
        if found is None:
            raise NoCollection(self._default)
        return found

    @property
    def default_name(self) -> str | None:
        """What the default is called, whether it is loaded or not; None before there was any."""
        return self._default

    def add(self, collection: Collection) -> None:
        """Have ``collection``, too. Raises FieldError if its name is taken."""
        self.check_free(collection.name)
        self._by_name[collection.name] = collection
        if self._default is None:
            self._default = collection.name

    def remove(self, name: str) -> Collection:
        """Return the collection ``name``, which is here no more. Raises FieldError if an alias is for it."""
        if aliases := self.aliases_of(name):
            reason = f"{name!r} has the alias {aliases[0]!r}; remove that, or let it be another's"
            raise FieldError("name", reason)
        found = self.exactly(name)
        del self._by_name[name]
        return found

    def aliases_of(self, name: str) -> list[str]:
        """Return what else the collection ``name`` is called."""
        return [alias for alias, known in self.aliases.items() if known == name]

    def alias(self, alias: str, name: str) -> None:
        """Let ``alias`` be another name of the collection ``name``. Raises FieldError."""
        if alias in self._by_name:
            raise FieldError("alias", f"{alias!r} is a collection")
        if name not in self._by_name:
            raise FieldError("collection", f"there is no collection {shown(name)}")
        self.aliases[alias] = name

    def remove_alias(self, alias: str) -> None:
        """Let ``alias`` be nothing. Raises FieldError if it is none."""
        if self.aliases.pop(alias, None) is None:
            raise FieldError("alias", f"there is no alias {shown(alias)}")

    def check_free(self, name: str) -> None:
        """Raise FieldError if there is a collection or an alias ``name``."""
        if name in self._by_name:
            raise FieldError("name", f"{name!r} is a collection already; swap it instead")
        if name in self.aliases:
            reason = f"{name!r} is an alias of {self.aliases[name]!r}"
            raise FieldError("name", reason)
