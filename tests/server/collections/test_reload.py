"""What is on the disk now is served after a reload: folders, generations, keys; and what fails stays."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import lurcher
from lurcher.bundle.bundle import Bundle
from lurcher.errors import FieldError
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.edit.requests import Upsert
from lurcher.server.key_ring import KeyRing
from lurcher.server.keys import key_hash
from lurcher.server.service import Service
from tests.server.serving import PATIENCE, Client, port_of, until
from tests.server.serving import settings as settings_of
from tests.server.test_serve_process import process


@pytest.fixture
def folder(small_bundle: Path, tmp_path: Path) -> Path:
    there = tmp_path / "collections"
    there.mkdir()
    shutil.copytree(small_bundle, there / "docs.lurcher")
    return there


def served(folder: Path, use: Callable[[Service], Awaitable[None]], **others: object) -> None:
    async def run() -> None:
        service = Service(
            settings_of([], collections=folder, engine="onnxruntime", **others)  # type: ignore[arg-type] # settings
        )
        await service.load()
        await use(service)
        await service.close()

    asyncio.run(run())


def bundles(service: Service) -> dict[str, str]:
    return {one.name: one.models().bundle for one in service.collections}


def test_folders_come_go_and_are_replaced(folder: Path, plain_odd_bundle: Path) -> None:
    async def use(service: Service) -> None:
        (folder / "odd.lurcher").symlink_to(plain_odd_bundle)
        await service.reload()
        assert bundles(service) == {"docs": "small", "odd": "odd"}
        with service.collections.default.lease() as before:
            shutil.move(folder / "docs.lurcher", folder / "docs.old")
            shutil.copytree(plain_odd_bundle, folder / "docs.lurcher")
            (folder / "odd.lurcher").unlink()
            await service.reload()
            assert bundles(service) == {"docs": "odd"}
            assert before.bundle == "small"
            assert before.passages.get([0])[0].id
        now = service.collections.default.models()
        await service.reload()
        assert service.collections.default.models() is now

    served(folder, use)


def test_a_newer_generation_is_gone_on_to(folder: Path) -> None:
    async def use(service: Service) -> None:
        docs = service.collections.default
        before = docs.models().passages.count
        with lurcher.open(folder / "docs.lurcher", threads=1, writable=True) as writing:
            writing.upsert([{"id": "new", "text": "A printer that is mute."}])
        await service.reload()
        assert docs.models().passages.count == before + 1

    served(folder, use)


def test_what_fails_stays_and_the_rest_goes_on(folder: Path, plain_odd_bundle: Path) -> None:
    async def use(service: Service) -> None:
        now = service.collections.default.models()
        shutil.move(folder / "docs.lurcher", folder / "docs.old")
        (folder / "docs.lurcher").mkdir()
        (folder / "odd.lurcher").symlink_to(plain_odd_bundle)
        await service.reload()
        assert service.collections.default.models() is now
        assert list(bundles(service)) == ["docs", "odd"]
        (folder / "no name.lurcher").mkdir()
        (folder / "odd.lurcher").unlink()
        await service.reload()
        assert list(bundles(service)) == ["docs", "odd"]

    served(folder, use)


def test_what_was_chosen_meanwhile_keeps_its_path(folder: Path, plain_odd_bundle: Path) -> None:
    async def use(service: Service) -> None:
        await service.administration.load("chosen", plain_odd_bundle)
        await service.administration.swap("docs", plain_odd_bundle)
        await service.reload()
        assert bundles(service) == {"docs": "odd", "chosen": "odd"}

    served(folder, use, admin_folders=[plain_odd_bundle.parent])


def test_a_folder_that_is_written_is_not_loaded_twice(folder: Path) -> None:
    async def use(service: Service) -> None:
        for change in (
            service.administration.load("again", folder / "docs.lurcher"),
            service.administration.swap("docs", folder / "docs.lurcher"),
        ):
            with pytest.raises(FieldError, match="is in service already, as 'docs'"):
                await change
        assert bundles(service) == {"docs": "small"}

    served(folder, use, writable=True)


def test_what_replaces_a_written_folder_is_as_it_was(folder: Path, plain_odd_bundle: Path) -> None:
    async def use(service: Service) -> None:
        writes = service.collections.default.loaded().writes
        assert writes is not None
        await writes.submit(Upsert((Document("new", "A printer that is mute."),)), visible=True)
        shutil.move(folder / "docs.lurcher", folder / "docs.old")
        shutil.copytree(plain_odd_bundle, folder / "docs.lurcher")
        await service.reload()
        assert bundles(service) == {"docs": "odd"}

    served(folder, use, writable=True)
    assert Bundle.open(folder / "docs.lurcher").manifest == Bundle.open(plain_odd_bundle).manifest
    with lurcher.open(folder / "docs.old", threads=1, writable=True) as before:
        assert before.passages.known(["new"])


def test_a_signal_reloads_a_server_and_loses_no_key(folder: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"

    def write(key: str) -> None:
        new = tmp_path / "new"
        new.write_text(f'[[key]]\nhash = "{key_hash(key)}"\nmay = "read"\n')
        new.replace(keys)

    write("old")
    command = [sys.executable, "-m", "lurcher", "serve", "--collections", folder, "--port", "0",
               "--keys-file", keys, "--engine", "onnxruntime"]  # fmt: skip
    with process(*command) as server:
        client = Client(port_of(server))

        def status(key: str) -> int:
            return client.get("/v1/collections", X_API_Key=key).status

        assert (status("old"), status("new")) == (200, 401)
        write("new")
        os.kill(server.pid, signal.SIGHUP)
        until(lambda: status("new") == 200)
        assert status("old") == 401
        keys.write_text("[[key]")
        shutil.copytree(folder / "docs.lurcher", folder / "more.lurcher")
        os.kill(server.pid, signal.SIGHUP)
        until(lambda: client.get("/v1/collections/more/bundle", X_API_Key="new").status == 200)
        server.terminate()
        _, log = server.communicate(timeout=PATIENCE)
        assert server.returncode == 0, log
        assert "the keys stay as they are" in log


def test_a_ring_without_a_file_is_read_again_in_vain(small_bundle: Path) -> None:
    ring = KeyRing(settings_of(small_bundle, read_keys=[key_hash("a")]))
    ring.read_again()
    assert ring.of(key_hash("a"))
