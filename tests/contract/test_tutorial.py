"""docs/tutorial.md, followed word for word: its commands and its program print what it shows."""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lurcher.cli import app
from tests.server.serving import PATIENCE, Client, port_of, running, settings

pytest.importorskip("ir_measures", reason="the extra [eval] is not installed")

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
# Its block of "sh" installs; this test's own environment stands for what that makes.
BLOCKS = re.findall(
    r"^```(console|python|text)\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
)
ADDRESS = "localhost:8080"


def steps() -> Iterator[tuple[str, str, str]]:
    """Kind and text of each command and program of the page, with the output that the page shows."""
    for (kind, block), (following, shown) in zip(BLOCKS, [*BLOCKS[1:], ("", "")], strict=True):
        if kind == "python":
            assert following == "text"
            yield kind, block, shown
        if kind == "console":
            for one in re.findall(r"^\$ ((?:.*\\\n)*.*\n)([^$]*)", block, re.MULTILINE):
                yield kind, *one


def follow(
    run: Callable[[str, str], str], serve: Callable[[str], AbstractContextManager[str]]
) -> None:
    """Take all steps: ``run`` gives what one prints, and ``serve`` the address where a server listens."""
    address, taken = ADDRESS, 0
    with contextlib.ExitStack() as until_the_end:
        for kind, given, shown in steps():
            text = given.replace(ADDRESS, address)
            if text.startswith("lurcher serve"):
                address = until_the_end.enter_context(serve(text.strip()))
                continue
            printed = run(kind, text)
            flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            assert doctest.OutputChecker().check_output(shown, printed, flags), printed
            taken += 1
    assert taken > 10


def shell(text: str, **how: object) -> str:
    """What the shell prints for ``text``."""
    command = ["bash", "-c", text]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, check=False, **how
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_page_is_followed_in_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As below, where each command would need a second to start."""
    monkeypatch.chdir(tmp_path)

    def run(kind: str, text: str) -> str:
        if kind == "python":
            printed = io.StringIO()  # of the program alone: the server's log is printed, too
            names = {"print": partial(print, file=printed)}
            exec(compile(text, str(PAGE), "exec"), names)  # noqa: S102 (our own page)
            return printed.getvalue()
        if not text.startswith("lurcher"):
            return shell(text)
        ended = CliRunner().invoke(app, shlex.split(text)[1:], catch_exceptions=False)
        assert ended.exit_code == 0, ended.output
        return ended.stdout

    @contextmanager
    def serve(text: str) -> Iterator[str]:
        _, _, bundle, flag = text.split()
        assert flag == "--writable"
        with running(settings(tmp_path / bundle, writable=True)) as client:
            yield client.url.removeprefix("http://")

    follow(run, serve)


@pytest.mark.nightly
def test_page_is_followed_word_for_word(tmp_path: Path) -> None:
    path = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"
    here = {"cwd": tmp_path, "env": os.environ | {"PATH": path}}

    def run(kind: str, text: str) -> str:
        if kind == "python":
            (tmp_path / "ask.py").write_text(text, encoding="utf-8")
            text = f"{shlex.quote(sys.executable)} ask.py"
        return shell(text, **here)

    @contextmanager
    def serve(text: str) -> Iterator[str]:
        command = ["bash", "-c", f"exec {text} --port 0"]
        silent, pipe = subprocess.DEVNULL, subprocess.PIPE
        with subprocess.Popen(command, stdout=silent, stderr=pipe, text=True, **here) as server:
            try:
                client = Client(port_of(server))
                client.until_ready()
                yield client.url.removeprefix("http://")
            finally:
                server.terminate()

    follow(run, serve)
