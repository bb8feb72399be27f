"""The key file: what a key may do, and where; and what is wrong with a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lurcher.errors import FieldError
from lurcher.server.key_ring import KeyRing, demands_key
from lurcher.server.keys import key_hash
from lurcher.server.settings import Settings, load_settings

A, B, C = (key_hash(key) for key in ("a", "b", "c"))


def with_file(path: Path, text: str, **others: Any) -> Settings:
    path.write_text(text)
    return load_settings(None, {"bundle": "b", "keys_file": path, **others})


def test_keys_of_file_and_settings_are_one_ring(tmp_path: Path) -> None:
    text = f"""
        [[key]]
        name = "the help desk"
        hash = "{A}"
        may = "read"
        collections = ["docs", "faq"]
        [[key]]
        hash = "{A}"
        may = "write"
        collections = ["tickets"]
        [[key]]
        hash = "{B}"
        may = "admin"
    """
    ring = KeyRing(with_file(tmp_path / "keys.toml", text, read_keys=[C]))
    reads, writes = ring.of(A)
    assert (reads.reaches("read"), reads.reaches("write")) == (True, False)
    assert (writes.reaches("read"), writes.reaches("write"), writes.reaches("admin")) == (
        True,
        True,
        False,
    )
    assert reads.covers(["docs"])
    assert reads.covers(["v7", "faq"])
    assert not reads.covers(["tickets"])
    (admin,) = ring.of(B)
    assert admin.reaches("admin")
    assert admin.covers(["anything"])
    (of_settings,) = ring.of(C)
    assert (of_settings.may, of_settings.collections) == ("read", None)
    assert ring.of(key_hash("d")) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "key: Field required"),
        ("key = []", "key: .*at least 1"),
        ("[[key]]\nmay = 'read'", r"key\.0\.hash: Field required"),
        ("[[key]]\nhash = 'a-key-itself'\nmay = 'read'", r"key\.0\.hash: must be sha256:"),
        (
            f"[[key]]\nhash = '{A}\\n'\nmay = 'read'".replace("'", '"'),
            r"key\.0\.hash: must be sha256:",
        ),
        (f"[[key]]\nhash = '{A}'\nmay = 'rule'", r"key\.0\.may: .*'read', 'write' or 'admin'"),
        (f"[[key]]\nhash = '{A}'\nmay = 'read'\ncollection = 'x'", r"key\.0\.collection: Extra"),
        ("[[key]", "is not TOML"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_and_keeps_the_keys_before(
    tmp_path: Path, text: str, says: str
) -> None:
    file = tmp_path / "keys.toml"
    ring = KeyRing(with_file(file, f"[[key]]\nhash = '{A}'\nmay = 'read'"))
    file.write_text(text)
    with pytest.raises(FieldError, match=says) as refused:
        ring.read_again()
    assert refused.value.field == "keys_file"
    assert str(file) in str(refused.value)
    assert "a-key-itself" not in str(refused.value)
    assert ring.of(A)
    file.unlink()
    with pytest.raises(FieldError, match="cannot read"):
        ring.read_again()


def test_a_key_that_is_rotated_is_known_and_the_old_one_is_not(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    ring = KeyRing(with_file(file, f"[[key]]\nhash = '{A}'\nmay = 'read'"))
    file.write_text(f"[[key]]\nhash = '{B}'\nmay = 'read'")
    ring.read_again()
    assert ring.of(B)
    assert not ring.of(A)


@pytest.mark.parametrize(
    ("given", "guarded"),
    [
        ({}, []),
        ({"read_keys": [A], "write_keys": [B]}, ["read", "write", "admin"]),
        ({"write_keys": [B]}, ["write", "admin"]),
        ({"admin_keys": [B]}, ["admin"]),
    ],
)
def test_each_list_guards_its_level_and_any_key_guards_administration(
    given: dict[str, Any], guarded: list[str]
) -> None:
    found = load_settings(None, {"bundle": "b", **given})
    assert [level for level in ("read", "write", "admin") if demands_key(found, level)] == guarded  # type: ignore[arg-type] # levels


def test_a_key_file_guards_everything(tmp_path: Path) -> None:
    found = with_file(tmp_path / "k", "")
    assert all(demands_key(found, level) for level in ("read", "write", "admin"))  # type: ignore[arg-type] # levels


def test_administration_behind_keys_needs_a_key_for_it() -> None:
    given = {"bundle": "b", "read_keys": [A], "admin_folders": ["x"]}
    with pytest.raises(FieldError, match=r"^admin_folders: .*needs an admin key"):
        load_settings(None, given)
    load_settings(None, {**given, "admin_keys": [B]})
    load_settings(None, {**given, "keys_file": "keys.toml"})
    load_settings(None, {"bundle": "b", "admin_folders": ["x"]})
    load_settings(None, {"bundle": "b", "writable": True, "read_keys": [A], "admin_keys": [B]})
