"""Servers as processes: a kill loses nothing that was answered, and a log has one of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path

import pytest

from lurcher.feedback.log import read_log
from tests.server.feedback.giving import PATH, TRAIN, give, pair
from tests.server.serving import PATIENCE, Client, port_of, until

SERVE = [sys.executable, "-m", "lurcher", "serve"]


@pytest.fixture
def start(small_bundle: Path, log: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """A function that starts a server of the log as a process; all are killed in the end."""
    started: list[subprocess.Popen[str]] = []

    def begin() -> subprocess.Popen[str]:
        command = [*SERVE, str(small_bundle), "--port", "0", "--feedback", str(log)]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ)
        started.append(server)
        return server

    yield begin
    for server in started:
        server.kill()
        server.communicate(timeout=PATIENCE)


@pytest.mark.parametrize("kills", [1, pytest.param(8, marks=pytest.mark.nightly)])
def test_what_was_answered_survives_a_kill_at_any_moment(
    start: Callable[[], subprocess.Popen[str]], log: Path, kills: int
) -> None:
    answered: list[str] = []

    def keep_giving(client: Client, worker: str) -> None:
        for i in range(10_000):
            key = f"{worker}-{i}"
            try:
                reply = give(client, pair(f"query {key}"), pair(f"query {key}", TRAIN), key=key)
            except (OSError, HTTPException):  # the server is gone
                return
            assert reply.status == 200
            answered.append(key)

    for rounds in range(1, kills + 1):
        server = start()
        client = Client(port_of(server))
        client.until_ready()
        with ThreadPoolExecutor(4) as threads:
            enough = len(answered) + 25 * rounds
            work = [threads.submit(keep_giving, client, f"{rounds}-{i}") for i in range(4)]
            until(lambda enough=enough: len(answered) >= enough)  # type: ignore[misc]  # bound now
            server.kill()
            for one in work:
                one.result(PATIENCE)
        server.wait(PATIENCE)
        kept = read_log(log)
        assert {s.key for s in kept.submissions} >= set(answered)
        assert all(len(g.pairs) == 2 for g in kept.submissions)
    client = Client(port_of(start()))
    client.until_ready()
    counts = client.get(PATH).json()
    assert counts["pairs"] == counts["judgements"] == len(kept.judgements)
    assert give(client, pair(f"query {answered[-1]}"), pair(f"query {answered[-1]}", TRAIN),
                key=answered[-1]).json()["accepted"] == 2  # fmt: skip
    assert client.get(PATH).json() == counts


def test_two_servers_cannot_share_a_log_and_a_damaged_one_ends_the_server(
    start: Callable[[], subprocess.Popen[str]], log: Path
) -> None:
    first = start()
    client = Client(port_of(first))
    client.until_ready()
    second = start()
    _, said = second.communicate(timeout=PATIENCE)
    assert second.returncode == 1
    assert said.splitlines()[-1].startswith("error feedback: another process writes to")
    for i in range(2):
        give(client, pair(f"query {i}"))
    first.terminate()
    assert first.wait(PATIENCE) == 0
    log.write_bytes(log.read_bytes().replace(b"query 0", b"quarry0"))
    third = start()
    _, said = third.communicate(timeout=PATIENCE)
    assert third.returncode == 1
    assert said.splitlines()[-1].startswith(f"error {log}, record 1: the record is damaged")
