"""The log's writer: lines in order, none that a slow reader holds up, and word of those that were lost."""

from __future__ import annotations

import io
import json
import threading

from lurcher.server.log_writer import LogWriter

PATIENCE = 30.0


class Slow(io.StringIO):
    """Takes nothing while its gate is shut."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.begun = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        self.begun.set()
        assert self.gate.wait(PATIENCE)
        return super().write(text)


class Broken(io.StringIO):
    """A pipe whose reader went away, until it is mended."""

    broken = True

    def write(self, text: str) -> int:
        if self.broken:
            raise BrokenPipeError
        return super().write(text)


def test_lines_are_written_in_order() -> None:
    out = io.StringIO()
    writer = LogWriter(out)
    for number in range(1_000):
        print(number, file=writer)  # type: ignore[call-overload]  # print needs write alone
    writer.close(PATIENCE)
    assert out.getvalue().split() == [str(number) for number in range(1_000)]


def test_what_nobody_reads_is_dropped_and_told_of_later() -> None:
    out = Slow()
    writer = LogWriter(out, capacity=10)
    writer.write("first\n")
    assert out.begun.wait(PATIENCE)
    for number in range(25):
        writer.write(f"{number}\n")
    out.gate.set()
    writer.close(PATIENCE)
    first, lost, *others = out.getvalue().splitlines()
    assert (first, json.loads(lost)["lines"]) == ("first", 15)
    assert others == [str(number) for number in range(10)]


def test_a_reader_that_went_away_stops_nothing_and_what_it_lost_is_counted() -> None:
    out = Broken()
    writer = LogWriter(out)
    writer.write("lost\n")
    writer.write("lost\n")
    while writer.waiting:
        threading.Event().wait(0.001)
    out.broken = False
    writer.write("after\n")
    writer.close(PATIENCE)
    lost, after = out.getvalue().splitlines()[-2:]
    assert (json.loads(lost)["lines"], after) == (2, "after")


def test_closing_waits_no_longer_than_it_may() -> None:
    out = Slow()
    writer = LogWriter(out)
    writer.write("held up\n")
    writer.close(0.01)
    assert out.getvalue() == ""
    out.gate.set()
    writer.close(PATIENCE)
    assert out.getvalue() == "held up\n"
