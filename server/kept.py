"""What admin routes have changed, in one file of the folder of collections, so that a restart keeps it.

``collections.json`` has ``collections``, the path of each whose bundle an admin route chose, null for one
that was unloaded; and ``aliases``, the collection of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from lurcher.bundle.sync import sync
from lurcher.errors import FieldError
from lurcher.server.collection_names import check_name

_log = structlog.get_logger()

FILE = "collections.json"


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    collections: dict[str, str | None] = {}
    aliases: dict[str, str] = {}


class Kept:
    """What is kept in ``folder``; None: it lasts until the server ends."""

    def __init__(self, folder: Path | None) -> None:
        """Raises FieldError for a file that cannot be read."""
        self.file = None if folder is None else folder / FILE
        self.paths: dict[str, Path | None] = {}  # None: it was unloaded
        self.aliases: dict[str, str] = {}
        if self.file is None:
            return
        try:
            found = _Content.model_validate_json(self.file.read_bytes())
        except FileNotFoundError:
            return
        except OSError as error:
            raise self.fault(f"cannot be read: {error.strerror}") from error
        except ValidationError as error:
            fault = error.errors()[0]
            raise self.fault(": ".join([*map(str, fault["loc"]), fault["msg"]])) from error
        for kind, names in (("collections", found.collections), ("aliases", found.aliases)):
            for name in names:
                try:
                    check_name(kind, name)
                except FieldError as error:
                    raise self.fault(str(error)) from error
        self.aliases = found.aliases
        self.paths = {
            name: None if path is None else Path(path) for name, path in found.collections.items()
        }

    def over(self, named: Mapping[str, Path]) -> dict[str, Path]:
        """Return the path of each collection: those that settings have ``named``, and what was changed."""
        every = {**named, **self.paths}
        return {name: path for name, path in every.items() if path is not None}

    def choose(self, name: str, path: Path | None, named: Mapping[str, Path]) -> None:
        """Have the collection ``name`` at ``path`` from now on, None: not at all; see ``over``."""
        own = named.get(name)
        if path is own or (path and own and path.resolve() == own.resolve()):
            self.paths.pop(name, None)  # as if nothing had been changed
        else:
            self.paths[name] = path

    def write(self) -> bool:
        """Write the file, all of it or nothing; return whether a restart keeps what there is now."""
        if self.file is None:
            return False
        paths = {name: None if path is None else str(path) for name, path in self.paths.items()}
        content = _Content(collections=paths, aliases=self.aliases)
        new = self.file.with_name(f"{FILE}.new")
        try:
            new.write_text(content.model_dump_json(indent=2) + "\n")
            sync(new)
            new.replace(self.file)
            sync(self.file.parent)
        except OSError as error:
            _log.error(
                "what was changed is lost at a restart", file=str(self.file), reason=str(error)
            )
            return False
        return True

    def fault(self, reason: str) -> FieldError:
        """Return the error of a file that cannot be used."""
        return FieldError("collections", f"{self.file}: {reason}; mend the file or remove it")
