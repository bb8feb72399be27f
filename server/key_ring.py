"""Which API keys there are, and what each may do: those of the settings, and those of the key file.

The key file is TOML and can be read again while the server runs::

    [[key]]
    name = "the help desk"          # for people; may be left out
    hash = "sha256:..."             # as `lurcher key` prints it
    may = "read"                    # read, write or admin; each may do what those before it may
    collections = ["docs", "faq"]   # names or aliases; all if left out
    rate = 20                       # requests a second, on average; key_rate of the settings if left out
    burst = 100                     # requests at once after a pause; those of a second if left out

A key may be there several times, such as to write one collection and read another.
"""

from __future__ import annotations

import hmac
import math
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from lurcher.errors import FieldError
from lurcher.server.rates import Rate
from lurcher.server.settings import KEY_HASH, Settings

Level = Literal["read", "write", "admin"]

_LEVELS: tuple[Level, ...] = ("read", "write", "admin")


class Grant(BaseModel):
    """What a key may do, and on which collections; None: all of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hash: Annotated[str, Field(pattern=KEY_HASH)]
    may: Level
    collections: frozenset[str] | None = None
    name: str = ""
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    burst: Annotated[int, Field(ge=1)] | None = None

    @field_validator("burst")
    @classmethod
    def _of_a_rate(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and info.data.get("rate") is None:
            raise ValueError("burst needs a rate too")
        return value

    def reaches(self, level: Level) -> bool:
        """Whether it may do what ``level`` says, on some collection."""
        return _LEVELS.index(self.may) >= _LEVELS.index(level)

    def covers(self, names: Iterable[str]) -> bool:
        """Whether a collection with any of these ``names`` is among its own."""
        return self.collections is None or not self.collections.isdisjoint(names)


class KeyRing:
    """The keys of a server."""

    def __init__(self, settings: Settings) -> None:
        """Raises FieldError for a key file that cannot be used."""
        self._file = settings.keys_file
        lists: tuple[tuple[Level, list[str]], ...] = (
            ("read", settings.read_keys), ("write", settings.write_keys),
            ("admin", settings.admin_keys),
        )  # fmt: skip
        self._rate = _rate(settings.key_rate, settings.key_burst)
        self._set = [Grant(hash=one, may=level) for level, hashes in lists for one in hashes]
        self._grants = self._set
        self.read_again()

    def read_again(self) -> None:
        """Take the key file as it is now. Raises FieldError, and leaves the keys as they were."""
        if self._file is not None:
            self._grants = [*self._set, *read_key_file(self._file)]

    def of(self, given: str) -> list[Grant]:
        """What the key with the hash ``given`` may do, in constant time; nothing for an unknown one."""
        return [one for one in self._grants if hmac.compare_digest(given, one.hash)]

    def rate_of(self, grants: Iterable[Grant]) -> Rate | None:
        """How much a key with these ``grants`` may ask, None: as much as it likes.

        Of several entries of one key the lowest rate counts, and that of the settings if none has one.
        """
        rates = [rate for one in grants if (rate := _rate(one.rate, one.burst)) is not None]
        return min(rates, key=lambda rate: rate.per_second, default=self._rate)


def _rate(per_second: float | None, burst: int | None) -> Rate | None:
    if per_second is None:
        return None
    return Rate(per_second, burst or max(1, math.ceil(per_second)))


def demands_key(settings: Settings, level: Level) -> bool:
    """Whether what ``level`` says needs a key at all.

    Each list of the settings guards its own level; a key file guards all, and so does any key administration.
    """
    if settings.keys_file is not None:
        return True
    match level:
        case "read":
            return bool(settings.read_keys)
        case "write":
            return bool(settings.write_keys)
        case "admin":
            return bool(settings.read_keys or settings.write_keys or settings.admin_keys)


class _KeyFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    key: Annotated[list[Grant], Field(min_length=1)]


def read_key_file(path: Path) -> Sequence[Grant]:
    """Return the keys in the file at ``path``. Raises FieldError, which quotes no key."""
    try:
        content = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
        return _KeyFile.model_validate(content).key
    except OSError as error:
        raise FieldError("keys_file", f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        reason = first["msg"]
        if first["type"] == "string_pattern_mismatch":
            reason = "must be sha256: and 64 hex digits, as `lurcher key` prints it"
        raise FieldError("keys_file", f"{path}: {place}: {reason}") from error
    except ValueError as error:
        raise FieldError("keys_file", f"{path} is not TOML: {error}") from error
