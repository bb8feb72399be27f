"""``lurcher serve`` as a process: its exit codes, its signals, its last words."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.server.serving import PATIENCE, Client, accepts, port_of, until

SERVE = [sys.executable, "-m", "lurcher", "serve"]

# A server whose snapshot says when it begins a batch, and goes on when it is told to.
HELD = """
import sys
from pathlib import Path
from lurcher.retrieval.snapshot import Snapshot
from lurcher.server.run import serve
from lurcher.server.settings import load_settings

class Held(Snapshot):
    def run(self, queries):
        if queries[0].text == "held":
            print("begun", flush=True)
            sys.stdin.readline()
        return super().run(queries)

serve(load_settings(None, {"bundle": Path(sys.argv[1]), "port": 0, "threads": 1}), open_snapshot=Held)
"""


@contextmanager
def process(*command: str | Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of its work, killed in the end if it has not ended."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=os.environ | environment
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def refused(*arguments: str | Path) -> str:
    """The one line with which ``lurcher serve`` refuses ``arguments``."""
    ended = subprocess.run([*SERVE, *arguments], capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 1, ended.stderr
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    return lines[0]


def test_damaged_bundle_ends_the_server_with_the_name_of_the_file(
    small_bundle: Path, tmp_path: Path
) -> None:
    damaged = shutil.copytree(small_bundle, tmp_path / "damaged.lurcher")
    file = damaged / "segments" / "000000" / "vectors.faiss"
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    line = refused(damaged, "--port", "0")
    assert line.startswith("error ")
    assert str(damaged) in line
    assert "segments/000000/vectors.faiss" in line


def test_bundle_that_is_not_there_ends_the_server(tmp_path: Path) -> None:
    assert "no such folder" in refused(tmp_path / "nothing.lurcher", "--port", "0")


def test_port_in_use_ends_the_server_before_the_bundle_is_read(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused(tmp_path / "not even looked at", "--port", str(port))
    assert line.startswith("error port: Address already in use")
    assert str(port) in line


def test_host_that_is_no_address_ends_the_server(small_bundle: Path) -> None:
    assert refused(small_bundle, "--host", "300.1.1.1").startswith("error host: '300.1.1.1': ")


def test_wrong_setting_ends_the_server_with_its_name(small_bundle: Path, tmp_path: Path) -> None:
    config = tmp_path / "lurcher.toml"
    config.write_text("max_topk = 3\n")
    assert "max_topk" in refused(small_bundle, "--config", config)
    assert refused().startswith("error bundle: ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_lets_requests_in_flight_finish_and_ends_with_success(
    small_bundle: Path, number: signal.Signals
) -> None:
    with (
        process(sys.executable, "-c", HELD, small_bundle) as server,
        ThreadPoolExecutor(1) as threads,
    ):
        client = Client(port_of(server))
        client.until_ready()
        reply = threads.submit(client.search, "held")
        assert server.stdout is not None
        assert server.stdout.readline() == "begun\n"
        server.send_signal(number)
        until(lambda: not accepts(client.port))
        assert server.poll() is None
        _, log = server.communicate("go on\n", PATIENCE)
        assert reply.result(PATIENCE).status == 200
        assert server.returncode == 0, log
        assert "Traceback" not in log


def test_settings_come_from_environment_and_file_and_logs_are_json_lines(
    small_bundle: Path, tmp_path: Path
) -> None:
    config = tmp_path / "lurcher.toml"
    config.write_text('port = 0\nmax_top_k = 5\nhost = "127.0.0.1"\n')
    command = [*SERVE, str(small_bundle), "--config", str(config)]
    with process(*command, LURCHER_MAX_TOP_K="7") as server:
        client = Client(port_of(server))
        client.until_ready()
        assert client.get("/v1/bundle").json()["limits"]["top_k"] == 7
        client.get("/livez", X_Request_Id="find-me")
        server.terminate()
        _, log = server.communicate(timeout=PATIENCE)
        assert server.returncode == 0
        entries = [json.loads(line) for line in log.splitlines()]
        (entry,) = [e for e in entries if e.get("request_id") == "find-me"]
        assert (entry["method"], entry["path"], entry["status"]) == ("GET", "/livez", 200)
        assert entry["ms"] >= 0
