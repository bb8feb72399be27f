"""The registry: order, default, names and aliases."""

from __future__ import annotations

from pathlib import Path

import pytest

from lurcher.errors import FieldError, NoCollection, NotReady
from lurcher.server.collection import Collection
from lurcher.server.registry import Registry
from tests.server.serving import settings


def made(*names: str) -> Registry:
    registry = Registry()
    for name in names:
        registry.add(Collection(name, Path(name), settings(Path("b"))))
    return registry


def names(registry: Registry) -> list[str]:
    return [one.name for one in registry]


def test_the_first_is_the_default_and_stays_it() -> None:
    registry = made("a", "b")
    assert names(registry) == ["a", "b"]
    assert registry.default is registry.get("a")
    registry.remove("a")
    with pytest.raises(NoCollection, match="'a', is not loaded"):
        assert registry.default
    registry.add(Collection("a", Path("a"), settings(Path("b"))))
    assert names(registry) == ["b", "a"]
    assert registry.default is registry.get("a")


def test_without_any_there_is_no_default() -> None:
    with pytest.raises(NoCollection, match="no collection is loaded yet"):
        assert Registry().default
    assert Registry().default_name is None
    assert made("only").default_name == "only"


def test_an_alias_is_found_like_a_name_and_moves() -> None:
    registry = made("a", "b")
    registry.alias("now", "a")
    assert registry.get("now") is registry.get("a")
    registry.alias("now", "b")
    assert registry.get("now") is registry.get("b")
    assert (registry.aliases_of("a"), registry.aliases_of("b")) == ([], ["now"])
    registry.remove_alias("now")
    assert registry.get("now") is None


def test_what_cannot_be_is_refused_and_changes_nothing() -> None:
    registry = made("a", "b")
    registry.alias("now", "a")
    for change, says in (
        (lambda: registry.check_free("a"), "is a collection already"),
        (lambda: registry.check_free("now"), "is an alias of 'a'"),
        (lambda: registry.alias("b", "a"), "'b' is a collection"),
        (lambda: registry.alias("other", "now"), "no collection 'now'"),
        (lambda: registry.remove("a"), "has the alias 'now'"),
        (lambda: registry.remove("c"), "no collection 'c'"),
        (lambda: registry.exactly("now"), "its collection is 'a'"),
        (lambda: registry.remove_alias("a"), "no alias 'a'"),
    ):
        with pytest.raises(FieldError, match=says):
            change()
    assert names(registry) == ["a", "b"]
    assert registry.aliases_of("a") == ["now"]


def test_a_collection_answers_only_once_it_has_a_bundle() -> None:
    (only,) = made("a")
    for ask in (only.lease, only.models, only.loaded):
        with pytest.raises(NotReady, match="still being loaded"):
            ask()
