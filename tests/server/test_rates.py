"""Token buckets: what a key may send at once, and how fast it may go on, in one process or in several."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.server.rates import OwnTimes, Rate, Rates, Times
from lurcher.server.workers.shared_times import SharedTimes


class Clock:
    """Tells the time that it was set to."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["own", "shared"])
def times(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Times]:
    own = OwnTimes()
    return (lambda: own) if request.param == "own" else (lambda: SharedTimes(tmp_path))


def test_a_burst_then_so_many_a_second(times: Callable[[], Times]) -> None:
    clock, rate = Clock(), Rate(2.0, 3)
    one, another = Rates(times(), clock), Rates(times(), clock)  # as two workers are
    took = [rates.take("a", rate) for rates in (one, another, one, another)]
    assert [taken.allowed for taken in took] == [True, True, True, False]
    assert [taken.remaining for taken in took] == [2, 1, 0, 0]
    assert took[3].headers == {
        "RateLimit-Limit": "3", "RateLimit-Remaining": "0", "RateLimit-Reset": "2",
        "Retry-After": "1",
    }  # fmt: skip
    assert took[3].wait == pytest.approx(0.5)
    assert one.take("b", rate).allowed  # another key's bucket is its own
    clock.now += 0.5
    assert another.take("a", rate).allowed
    assert not one.take("a", rate).allowed
    clock.now += 3_600
    assert [one.take("a", rate).allowed for _ in range(4)] == [True, True, True, False]


def test_a_slower_rate_is_not_owed_what_a_faster_one_gave() -> None:
    clock = Clock()
    rates = Rates(OwnTimes(), clock)
    for _ in range(2):
        rates.take("a", Rate(0.001, 2))  # full in 2,000 s
    assert rates.take("a", Rate(10.0, 10)).wait == pytest.approx(0.1)


@given(
    per_second=st.floats(0.01, 1_000), burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 5), max_size=100),
)  # fmt: skip
def test_never_more_than_the_bucket_and_what_it_gains(
    per_second: float, burst: int, pauses: list[float]
) -> None:
    clock, allowed = Clock(), 0
    rates = Rates(OwnTimes(), clock)
    for pause in pauses:
        clock.now += pause
        taken = rates.take("a", Rate(per_second, burst))
        allowed += taken.allowed
        assert taken.allowed == ("Retry-After" not in taken.headers)
    assert allowed <= burst + per_second * sum(pauses) + 1e-3
