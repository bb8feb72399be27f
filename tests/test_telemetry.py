"""No command and no import reports home: nothing is written below HOME, no name looked up, nothing called."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from lurcher import telemetry
from tests.server.serving import PATIENCE, Client, port_of
from tests.tiny import BY_TINY

# Python's own look-ups and connections go into a file; sockets of this machine's own services do not.
WATCH = """
import os, sys

def watch(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname") or (
        event == "socket.connect" and isinstance(arguments[1], tuple)
    ):
        with open(os.environ["WATCHED"], "a") as file:
            print(event, arguments, file=file)

sys.addaudithook(watch)
"""
# What keeps libraries from reporting, whoever set it.
HUSHED = {*telemetry.SWITCHES, "CI", "GITHUB_ACTIONS", "DO_NOT_TRACK"}
IMPORT = "import lurcher, onnxruntime, faiss, tokenizers, lurcher.server.app, lurcher.collection"


class Stranger:
    """A user of this machine with an empty HOME, who has set nothing."""

    def __init__(self, folder: Path) -> None:
        self.home, self.watched = folder / "home", folder / "watched"
        (folder / "site").mkdir()
        (folder / "site" / "sitecustomize.py").write_text(WATCH)
        self.home.mkdir()
        paths = [str(folder / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
        kept = {n: v for n, v in os.environ.items() if n not in HUSHED and "XDG_" not in n}
        self.environment = kept | {
            "HOME": str(self.home), "WATCHED": str(self.watched), "PYTHONPATH": os.pathsep.join(paths),
        }  # fmt: skip

    def run(self, command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.home.parent, env=self.environment, capture_output=True, text=True,
            timeout=PATIENCE,
        )  # fmt: skip

    def assert_unseen(self) -> None:
        assert [file for file in self.home.rglob("*") if file.is_file()] == []
        assert not self.watched.exists(), self.watched.read_text()


@pytest.fixture
def stranger(tmp_path: Path) -> Stranger:
    return Stranger(tmp_path)


def lurcher(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "lurcher", *map(str, words)]


def test_the_watch_sees_look_ups_and_files(stranger: Stranger) -> None:
    stranger.run([sys.executable, "-c", "import socket; socket.getaddrinfo('127.0.0.1', 1)"])
    assert "getaddrinfo" in stranger.watched.read_text()


def test_commands_write_and_look_up_nothing(
    stranger: Stranger, small_bundle: Path, tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text('{"id": "a", "text": "a cat sleeps"}\n')
    for command in (
        lurcher("--help"),
        lurcher("build", corpus, "made.lurcher", *BY_TINY),
        lurcher("search", small_bundle, "a cat", "-k", "1"),
    ):
        ended = stranger.run(command)
        assert ended.returncode == 0, ended.stderr
        stranger.assert_unseen()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_native_code_opens_no_connection(
    stranger: Stranger, small_bundle: Path, tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    traced = ["strace", "-f", "-e", "trace=socket,connect", "-o", str(calls)]
    ended = stranger.run([*traced, *lurcher("search", small_bundle, "a cat")])
    if "ptrace" in ended.stderr:
        pytest.skip("this container allows no tracing")
    assert ended.returncode == 0, ended.stderr
    assert "AF_INET" not in calls.read_text()
    stranger.assert_unseen()


def test_server_writes_and_looks_up_nothing(stranger: Stranger, small_bundle: Path) -> None:
    command = lurcher("serve", small_bundle, "--port", "0")
    with subprocess.Popen(
        command, env=stranger.environment, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            client = Client(port_of(server))
            client.until_ready()
            assert client.search("a cat").status == 200
        finally:
            server.terminate()
            server.communicate(timeout=PATIENCE)
    stranger.assert_unseen()


def test_library_is_silent_when_it_is_imported_first(stranger: Stranger) -> None:
    ended = stranger.run([sys.executable, "-W", "error", "-c", IMPORT])
    assert ended.returncode == 0, ended.stderr
    stranger.assert_unseen()


def test_import_after_a_reporting_library_is_warned_of(stranger: Stranger) -> None:
    stranger.environment["ORT_DISABLE_TELEMETRY"] = "0"
    late = "import onnxruntime; onnxruntime.__version__ = '1.29.0'; import lurcher"
    ended = stranger.run([sys.executable, "-W", "error", "-c", late])
    assert "UserWarning: onnxruntime was imported before lurcher" in ended.stderr
    stranger.environment["ORT_DISABLE_TELEMETRY"] = "1"
    assert stranger.run([sys.executable, "-W", "error", "-c", late]).returncode == 0
