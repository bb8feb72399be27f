"""Ray's processes on this machine, by the titles that Ray gives them."""

from __future__ import annotations

import re
import socket
from pathlib import Path

SHARD = rb"ray::ServeReplica:lurcher-shards-\w+:shard-"
WRITER = rb"ray::ServeReplica:lurcher-shards-\w+:writer-"
INGRESS = rb"ray::ServeReplica:lurcher:ingress"
CONTROLLER = rb"ray::ServeController"


def processes(title: bytes) -> list[int]:
    """Those whose title begins with what the pattern ``title`` matches."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if re.match(title, _read(pid, "cmdline"))]


def parent(pid: int) -> int:
    """The process that started ``pid``; 0 if it has ended."""
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return int(fields[1]) if fields else 0


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
