"""The audit log: a line for each write and administrative action, done or refused, and nobody's texts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lurcher.errors import FieldError
from lurcher.server.app import create_app
from lurcher.server.audit import Audit, AuditedRoute
from lurcher.server.keys import key_hash
from lurcher.server.settings import load_settings
from tests.contract.test_docs import walk_routes
from tests.server.serving import Client, running, settings, until

WRITE, READ, ADMIN = "a-write-key", "a-read-key", "an-admin-key"
PRIVATE = "whatnobodyelseshouldread"


@dataclass(frozen=True)
class Audited:
    client: Client
    file: Path
    spare: Path

    def after(self, method: str, path: str, body: Any, key: str) -> dict[str, Any]:
        """The line that this request adds."""
        before = len(self.lines())
        raw = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "X-API-Key": key, "X-Request-Id": "mine"}
        self.client.request(method, path, raw, headers)
        until(lambda: len(self.lines()) > before)
        (line,) = self.lines()[before:]
        found: dict[str, Any] = json.loads(line)
        return found

    def lines(self) -> list[str]:
        return self.file.read_text().splitlines()


@pytest.fixture(scope="module")
def audited(
    small_bundle: Path, words_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Audited]:
    folder = tmp_path_factory.mktemp("audit")
    shutil.copytree(small_bundle, folder / "docs")
    shutil.copytree(words_bundle, folder / "spare")
    keys = folder / "keys.toml"
    keys.write_text(
        "".join(
            f'[[key]]\nname = "{may} desk"\nhash = "{key_hash(key)}"\nmay = "{may}"\n'
            for key, may in ((READ, "read"), (WRITE, "write"), (ADMIN, "admin"))
        )
    )
    wanted = settings(
        folder / "docs", writable=True, keys_file=keys, audit=folder / "audit.log",
        admin_folders=[folder],
    )  # fmt: skip
    with running(wanted) as client:
        yield Audited(client, folder / "audit.log", folder / "spare")


RECORD = {"id": "new", "title": PRIVATE, "text": PRIVATE}
WRITES = [
    ("PUT", {"records": [RECORD]}, "put_passages", {"records": 1, "upserted": 1, "sequence": 1}),
    ("PATCH", {"records": [{"id": "new", "metadata": {"lang": PRIVATE}}]}, "patch_passages",
     {"records": 1, "patched": 1, "sequence": 2}),
    ("DELETE", {"ids": ["new"]}, "delete_passages",
     {"records": 1, "removed": 1, "sequence": 3, "by_filter": False, "dry_run": False}),
]  # fmt: skip


def test_a_write_is_told_with_whose_it_was_and_how_much(audited: Audited) -> None:
    for method, body, action, counts in WRITES:
        line = audited.after(method, "/v1/passages", body, WRITE)
        assert line.items() >= counts.items()
        assert (line["action"], line["key"], line["collection"]) == (action, "write desk", "docs")
        assert (line["status"], line["outcome"], line["request_id"]) == (200, "done", "mine")
        assert (line["address"], line["timestamp"][10]) == ("127.0.0.1", "T")
        assert line["ms"] > 0


@pytest.mark.parametrize(
    ("path", "body", "key", "status"),
    [
        ("/v1/passages", {"records": [RECORD]}, READ, 403),
        ("/v1/passages", {"records": [RECORD]}, PRIVATE, 401),
        ("/v1/passages", {"records": [{**RECORD, PRIVATE: 1}]}, WRITE, 422),
        ("/v1/collections/nowhere/passages", {"records": [RECORD]}, WRITE, 404),
    ],
)
def test_a_refused_write_is_told(
    audited: Audited, path: str, body: Any, key: str, status: int
) -> None:
    line = audited.after("PUT", path, body, key)
    assert (line["action"], line["status"], line["outcome"]) == ("put_passages", status, "refused")
    assert "sequence" not in line


def test_administration_is_told(audited: Audited) -> None:
    body = {"name": "more", "path": str(audited.spare)}
    line = audited.after("POST", "/v1/admin/collections", body, WRITE)
    assert (line["action"], line["outcome"]) == ("load_collection", "refused")
    line = audited.after("POST", "/v1/admin/collections", body, ADMIN)
    assert (line["outcome"], line["key"], line["collection"]) == ("done", "admin desk", "more")
    assert line["path"] == str(audited.spare.resolve())
    line = audited.after("PUT", "/v1/admin/aliases/other", {"collection": "more"}, ADMIN)
    assert (line["action"], line["alias"], line["collection"]) == ("put_alias", "other", "more")


def test_no_route_that_changes_something_is_forgotten() -> None:
    routes = list(walk_routes(create_app(load_settings(None, {"bundle": "b"})).routes))
    changing = [
        route for _, route in routes if {"PUT", "PATCH", "DELETE"} & (route.methods or set())
    ]
    assert len(changing) > 5
    assert all(isinstance(route, AuditedRoute) for route in changing)
    posted = {
        path
        for path, route in routes
        if isinstance(route, AuditedRoute) and "POST" in (route.methods or ())
    }
    assert {"/v1/feedback", "/v1/admin/collections"} <= posted


def test_it_holds_no_texts_and_no_keys_and_reading_is_no_action(audited: Audited) -> None:
    before = audited.lines()
    audited.client.post("/v1/search", {"query": PRIVATE, "retrieve": "lexical"}, X_API_Key=READ)
    audited.after("PUT", "/v1/passages", {"records": [RECORD]}, WRITE)
    assert len(audited.lines()) == len(before) + 1
    text = audited.file.read_text()
    for secret in (PRIVATE, WRITE, READ, ADMIN, key_hash(WRITE)):
        assert secret not in text
    assert audited.file.stat().st_mode & 0o007 == 0


def test_goes_on_in_a_new_file_when_the_old_one_is_moved_away(tmp_path: Path) -> None:
    file, moved = tmp_path / "audit.log", tmp_path / "audit.log.1"
    audit = Audit(file)
    audit.write(action="first")
    file.rename(moved)
    audit.reopen()
    audit.write(action="second")
    audit.close()
    assert [json.loads(one.read_text())["action"] for one in (moved, file)] == ["first", "second"]


def test_a_disk_without_room_stops_nothing(words_bundle: Path) -> None:
    with running(settings(words_bundle, audit="/dev/full", feedback=None)) as client:
        for _ in range(3):
            reply = client.request("PUT", "/v1/passages", b"{}", {"Content-Type": "text/plain"})
            assert reply.status == 415
        assert client.search("cat", retrieve="lexical").status == 200


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FieldError, match=r"^audit: cannot write to .*nowhere"):
        Audit(tmp_path / "nowhere" / "audit.log")
