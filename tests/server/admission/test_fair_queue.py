"""The fair queue: equal shares of the time, each client's pieces in order, nothing lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.server.admission.fair_queue import FairQueue

PIECES = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9)), max_size=40)


def served(queue: FairQueue[str]) -> str:
    return "".join(queue.pop()[1] for _ in range(len(queue)))


def filled(*pieces: tuple[str, float]) -> FairQueue[str]:
    queue: FairQueue[str] = FairQueue()
    for client, seconds in pieces:
        queue.push(client, seconds, client)
    return queue


def test_who_waits_with_much_lets_others_go_between() -> None:
    assert served(filled(*[("a", 1.0)] * 6, *[("b", 1.0)] * 2)) == "ababaaaa"


def test_shares_are_of_seconds_not_of_pieces() -> None:
    assert served(filled(*[("a", 4.0)] * 2, *[("b", 1.0)] * 6)) == "abbbbabb"


def test_who_comes_late_does_not_get_the_time_that_it_did_not_ask_for() -> None:
    queue = filled(*[("a", 1.0)] * 8)
    assert [queue.pop()[1] for _ in range(4)] == ["a"] * 4
    for _ in range(4):
        queue.push("b", 1.0, "b")
    assert served(queue) == "babababa"


def test_an_empty_queue_has_nothing_to_give() -> None:
    with pytest.raises(IndexError):
        FairQueue().pop()


def test_a_light_client_waits_for_little_of_what_a_heavy_one_has_queued() -> None:
    queue = filled(*[("heavy", 1.0)] * 50)
    assert queue.before("light", 2.0) == 2.0
    assert queue.before("heavy", 2.0) == 50.0


@given(PIECES)
def test_nothing_is_lost_and_each_client_is_served_in_its_order(
    pieces: list[tuple[str, int]],
) -> None:
    queue: FairQueue[tuple[str, int]] = FairQueue()
    for number, (client, seconds) in enumerate(pieces):
        queue.push(client, seconds, (client, number))
    assert queue.seconds == sum(seconds for _, seconds in pieces)
    out = [queue.pop()[1] for _ in range(len(queue))]
    assert sorted(number for _, number in out) == list(range(len(pieces)))
    for client in "abc":
        own = [number for name, number in out if name == client]
        assert own == sorted(own)
    assert queue.seconds == 0


@given(PIECES)
def test_while_two_wait_neither_is_ahead_by_more_than_its_largest_piece(
    pieces: list[tuple[str, int]],
) -> None:
    queue: FairQueue[str] = FairQueue()
    waits = dict.fromkeys("abc", 0)
    for client, seconds in pieces:
        queue.push(client, seconds, client)
        waits[client] += seconds
    had, largest = dict.fromkeys("abc", 0.0), max((seconds for _, seconds in pieces), default=0)
    while len(queue):
        seconds, client = queue.pop()
        had[client] += seconds
        waits[client] -= int(seconds)
        busy = [name for name in "abc" if waits[name] > 0]
        if len(busy) > 1:
            shares = [had[name] for name in busy]
            assert max(shares) - min(shares) <= largest
