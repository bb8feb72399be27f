"""The unfinished bundle's folder: what is noted as done is there, whenever the kill came."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

from lurcher.index_builder.workspace import Workspace


class Interrupted(BaseException):
    """Stands for a kill: nothing catches it."""


def interrupt(*_: object, **__: object) -> NoReturn:
    raise Interrupted


def test_a_stage_is_done_once(out: Path) -> None:
    workspace = Workspace(out)
    assert workspace.begin("one", "key", [])
    workspace.done("one")
    assert not workspace.begin("one", "key", [])
    workspace.close()
    again = Workspace(out)
    assert not again.begin("one", "key", [])
    again.close()


def test_another_key_removes_the_files_and_undoes_what_comes_after(out: Path) -> None:
    workspace = Workspace(out)
    files = [workspace.scratch / name for name in ("one", "two")]
    for name, file in zip(("one", "two"), files, strict=True):
        workspace.begin(name, "key", [file])
        file.touch()
        workspace.done(name)
    assert workspace.begin("one", "other", files[:1])
    assert [file.exists() for file in files] == [False, True]
    assert workspace.begin("two", "key", files[1:])
    assert not files[1].exists()
    workspace.close()


def test_an_unfinished_stage_keeps_its_files(out: Path) -> None:
    workspace = Workspace(out)
    file = workspace.scratch / "one"
    workspace.begin("one", "key", [file])
    file.touch()
    workspace.close()
    again = Workspace(out)
    assert again.begin("one", "key", [file])
    assert file.exists()
    again.close()


def test_killed_while_files_are_removed_nothing_that_is_gone_counts_as_done(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(out)
    file = workspace.scratch / "one"
    workspace.begin("one", "key", [file])
    file.touch()
    workspace.done("one")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", interrupt)
        with pytest.raises(Interrupted):
            workspace.begin("one", "other", [file])
    workspace.close()
    again = Workspace(out)
    assert again.begin("one", "key", [file])
    assert not file.exists()
    again.close()


def test_killed_while_everything_is_removed_nothing_is_gone_on_with(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(out)
    file = workspace.scratch / "one"
    workspace.begin("one", "key", [file])
    file.touch()
    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", interrupt)
        with pytest.raises(Interrupted):
            workspace.discard()
    workspace.close()
    again = Workspace(out)
    assert again.begin("one", "key", [file])
    assert not file.exists()
    again.close()


def test_notes_that_cannot_be_read_mean_nothing_is_done(out: Path) -> None:
    for notes in ("", "[]", "{half", '{"one": 3}'):
        workspace = Workspace(out)
        workspace.begin("one", "key", [])
        workspace.done("one")
        workspace.close()
        (out.with_name(f"{out.name}.partial") / "build.json").write_text(notes)
        again = Workspace(out)
        assert again.begin("one", "key", [])
        again.discard()
        again.close()
