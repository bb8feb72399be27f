"""What admin routes changed is there after a restart: paths, what was unloaded, aliases."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lurcher.errors import FieldError, NoCollection
from lurcher.server.kept import FILE, Kept
from lurcher.server.service import Service
from tests.server.serving import settings


@pytest.fixture
def folder(tokenless_bundle: Path, tmp_path: Path) -> Path:
    """A folder of the collections `docs` and `faq`, which are one bundle."""
    made = tmp_path / "collections"
    made.mkdir()
    for name in ("docs", "faq"):
        (made / f"{name}.lurcher").symlink_to(tokenless_bundle)
    return made


def served(
    folder: Path, use: Callable[[Service], Awaitable[None]], bundles: list[Path] | None = None
) -> None:
    """Start a server of ``folder``, ``use`` it and stop it."""

    async def run() -> None:
        service = Service(settings(bundles or [], collections=folder, engine="onnxruntime"))
        try:
            await service.load()
            await use(service)
        finally:
            await service.close()

    asyncio.run(run())


def found(service: Service) -> dict[str, str]:
    return {one.name: one.models().bundle for one in service.collections}


def test_a_restart_and_a_reload_find_what_was_loaded_swapped_unloaded_and_named(
    folder: Path, tokenless_bundle: Path, words_bundle: Path
) -> None:
    async def change(service: Service) -> None:
        administration = service.administration
        await administration.load("more", words_bundle)
        await administration.swap("faq", words_bundle)
        await administration.unload("docs")
        service.collections.alias("current", "more")
        assert await administration.keep()

    async def look(service: Service) -> None:
        for _ in range(2):
            assert found(service) == {"faq": "words", "more": "words"}
            assert service.collections.aliases == {"current": "more"}
            with pytest.raises(NoCollection, match="the default collection, 'docs', is not loaded"):
                assert service.collections.default
            await service.reload()

    async def undo(service: Service) -> None:
        administration = service.administration
        await administration.swap("faq", tokenless_bundle)
        await administration.load("docs", tokenless_bundle)
        service.collections.remove_alias("current")
        await administration.unload("more")
        assert await administration.keep()

    served(folder, change)
    served(folder, look)
    served(folder, undo)
    # As if nothing had been changed: what comes and goes in the folder counts again.
    assert json.loads((folder / FILE).read_text()) == {"collections": {}, "aliases": {}}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "Invalid JSON"),
        ('{"collections": {"docs": 3}}', "collections: docs: Input should be a valid string"),
        ('{"names": {}}', "names: Extra inputs are not permitted"),
        ('{"aliases": {"a/b": "docs"}}', "'a/b' is no name of a collection"),
        ('{"aliases": {"faq": "docs"}}', "aliases: faq: 'faq' is a collection"),
        ('{"aliases": {"now": "docs-v1"}}', "aliases: now: there is no collection 'docs-v1'"),
        ('{"collections": {"docs": "/nowhere"}}', "collections: docs: /nowhere: "),
    ],
)
def test_a_file_that_cannot_be_followed_is_named(folder: Path, content: str, says: str) -> None:
    (folder / FILE).write_text(content)

    async def use(_: Service) -> None:
        raise AssertionError("it must not start")

    with pytest.raises(FieldError) as caught:
        served(folder, use)
    assert caught.value.field == "collections"
    assert caught.value.reason.startswith(f"{folder / FILE}: ")
    assert says in caught.value.reason
    assert "mend the file or remove it" in caught.value.reason


def test_what_cannot_be_kept_is_said_and_the_file_stays_whole(tmp_path: Path) -> None:
    assert not Kept(None).write()
    kept = Kept(tmp_path)
    kept.aliases["now"] = "docs"
    assert kept.write()
    (tmp_path / f"{FILE}.new").mkdir()
    kept.aliases["later"] = "docs"
    assert not kept.write()
    assert Kept(tmp_path).aliases == {"now": "docs"}
