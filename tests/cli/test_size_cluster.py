"""``lurcher size-cluster``: a line for each size, whole on a terminal of 80 columns."""

from __future__ import annotations

from tests.cli.running import Run, output


def test_a_line_for_each_size(run: Run) -> None:
    lines = output(run("size-cluster", "10000000", "3000000000")).splitlines()[-2:]
    assert all(len(line.rstrip()) <= 80 for line in lines)
    assert [line.split()[:2] for line in lines] == [
        ["10,000,000", "10"], ["3,000,000,000", "3,000"],
    ]  # fmt: skip
