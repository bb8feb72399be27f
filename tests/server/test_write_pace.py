"""Writing goes at a pace: a share of the time while requests are being answered, and else as it likes."""

from __future__ import annotations

import pytest

from lurcher.server.write_pace import WritePace


class Times:
    """A clock that goes on while somebody works or waits, and whether requests are being answered."""

    def __init__(self) -> None:
        self.now = self.cost = 100.0
        self.waited = 0.0
        self.busy_until = float("inf")

    def pace(self, share: float = 0.25) -> WritePace:
        return WritePace(
            lambda: self.now < self.busy_until,
            share,
            lambda: self.now,
            lambda: self.cost,
            self.wait,
        )

    def work(self, seconds: float) -> None:
        self.now += seconds
        self.cost += seconds

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.waited += seconds


def test_many_pieces_take_their_share_of_a_busy_server() -> None:
    times = Times()
    pace, begun = times.pace(), times.now
    for _ in range(50):
        pace.pause()
        times.work(0.04)
    assert 50 * 0.04 / (times.now - begun) == pytest.approx(0.25, abs=0.02)


def test_a_piece_on_its_own_does_not_wait_and_an_idle_server_lets_all_pass() -> None:
    times = Times()
    pace = times.pace()
    for _ in range(5):
        pace.pause()
        times.work(0.04)
        times.now += 1.0
    assert times.waited == 0
    times.busy_until = 0.0
    times.now += 1.0
    for _ in range(5):
        pace.pause()
        times.work(0.4)
    assert times.waited == 0


def test_it_goes_on_soon_after_the_last_request_and_never_waits_for_long() -> None:
    times = Times()
    pace = times.pace(0.01)
    pace.pause()
    times.work(60)
    pace.pause()
    assert times.waited == pytest.approx(2.0, abs=0.01)
    times.work(1)
    times.busy_until, times.waited = times.now + 0.1, 0.0
    pace.pause()
    assert times.waited == pytest.approx(0.35, abs=0.01)
