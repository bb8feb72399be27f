"""``lurcher serve`` where it runs: signals, both families of addresses, idle connections, odd variables."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.server.serving import PATIENCE, Client, port_of

SERVE = [sys.executable, "-m", "lurcher", "serve"]


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def test_server_survives_a_hangup_a_service_link_and_empty_variables(small_bundle: Path) -> None:
    odd = dict.fromkeys(("THREADS", "CORS_ORIGINS", "FEEDBACK", "LOG_LEVEL", "BATCH_SIZE"), "")
    odd |= {"HOST": "::" if has_ipv6() else "", "PORT": "tcp://10.43.98.242:8080"}
    environment = os.environ | {f"LURCHER_{name}": value for name, value in odd.items()}
    with subprocess.Popen(
        [*SERVE, str(small_bundle), "--port", "0", "--keep-alive-seconds", "1"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            client = Client(port_of(server))
            server.send_signal(signal.SIGHUP)
            assert client.search("a cat").status == 200  # over IPv4; and "listening" means ready
            with socket.create_connection(("127.0.0.1", client.port), PATIENCE) as idle:
                idle.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
                while idle.recv(1 << 16):  # until the server closes it, or this times out
                    pass
            if has_ipv6():
                with socket.create_connection(("::1", client.port), PATIENCE) as connection:
                    connection.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
                    assert connection.recv(12) == b"HTTP/1.1 200"
            server.terminate()
            server.communicate(timeout=PATIENCE)
            assert server.returncode == 0
        finally:
            server.kill()


def test_damaged_bundle_is_never_said_to_listen(tmp_path: Path) -> None:
    environment = os.environ | {"LURCHER_PORT": "tcp://10.43.98.242:8080"}
    ended = subprocess.run(
        [*SERVE, str(tmp_path), "--host", "127.0.0.1"], env=environment, capture_output=True, text=True,
        timeout=PATIENCE,
    )  # fmt: skip
    assert ended.returncode == 1
    events = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]
    assert events[0]["level"] == "warning"
    assert events[0]["event"].startswith("LURCHER_PORT='tcp://10.43.98.242:8080' is ignored")
    assert "listening" not in ended.stderr
