"""The same call by many threads at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy.typing as npt


def all_equal(call: Callable[[], npt.NDArray[Any]], expected: npt.NDArray[Any]) -> None:
    """Assert that ``call`` gives ``expected``, 20 times in each of 4 threads."""
    differ: list[int] = []

    def repeat() -> None:
        differ.extend(int((call() != expected).sum()) for _ in range(20))

    threads = [threading.Thread(target=repeat) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(differ) == 80
    assert not any(differ)
