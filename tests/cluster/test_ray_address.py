"""Addresses at which there is no Ray cluster that can be used: told in one line, in seconds."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of Ray's own use of pydantic
    pytest.importorskip("ray", reason="ray is not installed: make test-ray")

from lurcher.cluster.on_ray import joined
from lurcher.errors import LurcherError

# Ray leaves sockets to the end of the process.
pytestmark = pytest.mark.filterwarnings("ignore")


def refused(address: str) -> str:
    start = time.monotonic()
    with pytest.raises(LurcherError) as raised, joined(address):
        pass
    told = str(raised.value)
    print(told)
    assert time.monotonic() - start < 20, "two tries of 5 s; Ray itself tries for 122"
    assert "\n" not in told
    assert told.startswith(f"no Ray cluster can be used at {address!r}: ")
    return told


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("127.0.0.1:1", "Connection refused"),
        ("ray://127.0.0.1:1", "Connection refused"),
        ("[::1]:1", ""),  # where there is no IPv6, it is another reason
        ("no-such-host.invalid:6379", ""),
        ("127.0.0.1", "Invalid address format"),
        ("auto", "Could not find any running Ray instance"),
    ],
)
def test_no_cluster_is_told_at_once(address: str, reason: str) -> None:
    assert reason in refused(address)


def test_another_server_is_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "not Ray" in refused(f"127.0.0.1:{silent.getsockname()[1]}")


OLDER = """
import ray
ray.__version__ = "2.59.0"
there = ray.init(num_cpus=0, include_dashboard=False, log_to_driver=False)
print(there.address_info["gcs_address"], flush=True)
input()
"""


def test_a_cluster_of_another_version_is_told() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "RAY_AUTH_MODE": "disabled"},
    ) as older:  # fmt: skip
        assert older.stdout is not None
        told = refused(older.stdout.readline().strip())
        older.communicate("\n")
    assert "Version mismatch" in told
    assert "2.59.0" in told
