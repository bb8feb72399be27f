"""What can be measured and compared: bundles, servers, runs, and what is open already, with settings.

In words, a target is a path or a URL and what it is searched with: ``docs.lurcher,rank=off,retrieve=dense``.
Settings alone are another way to search in the target beside it.
"""

from __future__ import annotations

from collections.abc import Collection as Ids
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, Protocol, get_args, get_type_hints

from lurcher.collection import Collection
from lurcher.errors import FieldError
from lurcher.evaluation.remote import is_url
from lurcher.evaluation.runs import Run, read_run
from lurcher.evaluation.searchers import (
    OpenSearcher,
    Searcher,
    Searching,
    SearchWith,
    at_most,
    open_searcher,
)

_SETTINGS = tuple(one.name for one in fields(SearchWith))
_AS_EVER = SearchWith()


class Remote(Searching, Protocol):
    """What `lurcher.Client` is, which stands above this package."""

    @property
    def url(self) -> str:
        """The server's address."""


@dataclass(frozen=True, slots=True)
class Target:
    """A path, a URL or something open, and how it is searched."""

    where: str | Collection | Remote
    how: SearchWith = _AS_EVER

    @property
    def is_run(self) -> bool:
        """Whether it is a file of hits that were found already."""
        return isinstance(self.where, str) and not is_url(self.where) and Path(self.where).is_file()


# A path, a URL, or what `lurcher.open` or `lurcher.Client` gave.
Given = str | Path | Collection | Remote


def target_of(given: Given, base: Target | None = None) -> Target:
    """The target that is ``given``; settings alone are those of ``base``, searched in another way.

    Raises FieldError for a setting that there is not, or a value that it cannot have.
    """
    if isinstance(given, Path):
        return Target(str(given))
    if not isinstance(given, str):
        search = getattr(given, "search_many", None)
        if search is None or iscoroutinefunction(search):
            kinds = "a path, a URL, or what lurcher.open or lurcher.Client returned"
            raise FieldError("target", f"{type(given).__name__}: must be {kinds}")
        return Target(given)
    if is_url(given) or not Path(given).exists():
        words = given.split(",")
        settings: dict[str, Any] = {}
        while words and "=" in words[-1].rpartition("/")[2]:
            name, _, value = words.pop().partition("=")
            if name not in _SETTINGS:
                every = ", ".join(_SETTINGS)
                raise FieldError(name, f"there is no such setting of a search; there are: {every}")
            settings[name] = _value(name, value)
        if settings:
            where = ",".join(words)
            if where:
                return Target(where, SearchWith(**settings))
            if base is None:
                raise FieldError(given, "settings alone are for a target beside another one")
            return replace(base, how=replace(base.how, **settings))
    return Target(given)


def _value(name: str, given: str) -> str | int:
    if name == "candidates":
        if not given.isdecimal() or int(given) < 1:
            raise FieldError(name, f"{given!r}: must be a whole number, at least 1")
        return int(given)
    choices = get_args(get_type_hints(SearchWith)[name])
    if given not in choices:
        raise FieldError(name, f"{given!r}: must be one of {', '.join(choices)}")
    return given


@contextmanager
def open_target(target: Target, judged: Ids[str] = ()) -> Iterator[Searcher | Run]:
    """What answers for ``target`` for the time of the block; what was open stays so.

    Raises FieldError for a way to search in a run, CorpusError for a file that is none, and what opening a
    bundle raises.
    """
    where, how = target.where, target.how
    if not isinstance(where, str):
        if how.engine != "auto":
            raise FieldError("engine", "is for a bundle that is opened; this one is open")
        name = where.manifest.name if isinstance(where, Collection) else where.url
        yield at_most(OpenSearcher(where, name + str(how), how.options(judged), judged), how.most)
    elif target.is_run:
        if how != SearchWith():
            name = str(how).removeprefix(",").partition("=")[0]
            raise FieldError(name, f"is for a search; {where} is a run, whose hits are found")
        yield read_run(Path(where))
    else:
        with open_searcher(where, how, judged) as searcher:
            yield searcher
