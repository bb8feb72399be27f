"""Ways in turns: every query once, and ratios of what they took."""

from __future__ import annotations

import pytest

from lurcher.benchmarks.timing import Way, paired_ratio, ratio, take_turns


def test_ways_take_turns_of_so_many_queries() -> None:
    asked: list[tuple[str, int]] = []
    ways = {name: Way(lambda i, name=name: asked.append((name, i))) for name in "ab"}
    seconds = take_turns(ways, 5, turn=2)
    assert {name: sorted(of) for name, of in seconds.items()} == {
        "a": [0, 1, 2, 3, 4], "b": [0, 1, 2, 3, 4],
    }  # fmt: skip
    # The first of each turn is asked once before.
    assert asked[:6] == [("a", 0), ("a", 0), ("a", 1), ("b", 0), ("b", 0), ("b", 1)]


def test_paired_ratio_is_of_each_query_with_itself() -> None:
    base = {0: 1.0, 1: 10.0, 2: 100.0}
    slower = {0: 2.0, 1: 10.0, 2: 200.0}
    assert paired_ratio(slower, base) == pytest.approx(2.0)
    assert ratio(slower, base) == pytest.approx(1.0)
