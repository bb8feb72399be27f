"""What collections are called, and which folders are refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lurcher.errors import FieldError
from lurcher.server.collection_names import check_name, named

GOOD = ["docs", "a", "7", "team-a_2", "Docs", "x" * 64]
BAD = [
    "",
    "a/b",
    "..",
    ".",
    "docs.v2",
    "docs v2",
    "-docs",
    "_docs",
    "x" * 65,
    "döcs",
    "a\n",
    "a%2Fb",
    "🐕",
]


@pytest.mark.parametrize("name", GOOD)
def test_a_name_is_taken(name: str) -> None:
    assert check_name("name", name) == name


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_name_is_quoted(name: str) -> None:
    with pytest.raises(FieldError) as refused:
        check_name("field", name)
    assert refused.value.field == "field"
    assert refused.value.reason.startswith(f"{name!r} is no name"[:60])


def made(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).mkdir(parents=True)
    return [folder / name for name in names]


def test_names_are_those_of_folders_in_the_order_given(tmp_path: Path) -> None:
    b, a = made(tmp_path / "first", "b.lurcher", "a")
    c, d = made(tmp_path / "more", "d.lurcher", "c.lurcher")[::-1]
    made(tmp_path / "more", "notes", "e.lurcher.partial")
    (tmp_path / "more" / "f.lurcher").touch()
    found = named([b, a], tmp_path / "more")
    assert list(found.items()) == [("b", b), ("a", a), ("c", c), ("d", d)]


def test_a_bundle_alone_may_have_any_folder(tmp_path: Path) -> None:
    odd, plain = made(tmp_path, "docs v2.lurcher", "docs.lurcher")
    assert named([odd], None) == {"default": odd}
    assert named([plain], None) == {"docs": plain}
    for several in (lambda: named([plain, odd], None), lambda: named([], tmp_path)):
        with pytest.raises(FieldError, match="'docs v2' is no name of a collection"):
            several()


def test_two_of_one_name_are_refused_and_the_same_one_twice_is_one(tmp_path: Path) -> None:
    here, there = made(tmp_path, "a/docs.lurcher", "b/docs.lurcher")
    with pytest.raises(FieldError, match=re.escape(f"{here} and {there}")) as refused:
        named([here, there], None)
    assert "collection 'docs'" in str(refused.value)
    with pytest.raises(FieldError, match=r"^collections: "):
        named([here], there.parent)
    assert named([here, tmp_path / "a" / "." / "docs.lurcher"], here.parent) == {"docs": here}


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for path in (tmp_path / "nothing", file):
        with pytest.raises(FieldError, match=re.escape(str(path))) as refused:
            named([], path)
        assert refused.value.field == "collections"
