"""How many connections a process has room for."""

from __future__ import annotations

import subprocess
import sys

import pytest

TELL = """
import resource, sys
from lurcher.server.descriptors import room_for
soft, hard, wanted = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(room_for(wanted, others=20), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "room"),
    [(100, 300, 200, (200, 220, 300)), (100, 150, 200, (130, 150, 150)),
     (250, 300, 200, (200, 250, 300))],
)  # fmt: skip
def test_the_limit_is_raised_as_far_as_it_may_be(
    soft: int, hard: int, wanted: int, room: tuple[int, int, int]
) -> None:
    command = [sys.executable, "-c", TELL, str(soft), str(hard), str(wanted)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert tuple(map(int, told.split())) == room
