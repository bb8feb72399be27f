"""What callers judged while a server ran: a log that only grows, one file.

::

    crc {"format":1,"id":"..."}            the first line; id: 32 random hex digits
    crc {"records":[...]}                  one line an append

    crc       CRC-32 of what follows the space, newline left out, as 8 hex digits
    record    {"sequence", "time", "client", "key", "request", "refused",
               "pairs": [[query, passage id, weight], ...]}    judgements of one request
              {"sequence", "time", "keys", "before"}           a removal of earlier ones
              {"sequence", "time", "limits": {"clients", "client_weight"}}    how to count from here on

Sequence numbers count records from 1 and rise. ``time`` is in seconds since 1970, UTC. ``request`` is
a digest of the request's body and ``refused`` are the indices of its pairs that were not taken, so
that the same request sent again can be told and answered. The last limits hold for all judgements,
earlier ones too; where none were noted, those of ``Limits()`` hold.

An append is one line, written and synced before the next begins. So it is wholly there or not at
all, and what is unfinished stands at the end and has no newline, but perhaps zeros, as file systems
leave them after a power cut. Anything else that cannot be read is damage to what was once synced. What
is cut off is kept in ``NAME.cut``.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from io import FileIO
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple, TypeVar

import structlog

from lurcher.bundle.sync import sync
from lurcher.feedback.tally import Limits, Tally
from lurcher.models.errors import FeedbackCorrupt, FieldError

FORMAT = 1

_log = structlog.get_logger()

_HEADER = re.compile(rb'[0-9a-f]{8} \{"format":1,"id":"[0-9a-f]{32}"\}\n')
_BLANK_HEADER = b'00000000 {"format":1,"id":"%b"}\n' % (b"0" * 32)
_LONGEST_HEADER = 200  # bytes; whatever else the path may name is not read whole


class Pair(NamedTuple):
    """A passage judged relevant to a query; ``weight`` is above 0."""

    query: str
    passage: str
    weight: float


@dataclass(frozen=True, slots=True)
class Given:
    """The judgements of one request, as far as they were taken; the log numbers it."""

    client: str
    time: float
    key: str
    pairs: tuple[Pair, ...]
    request: str = ""
    refused: tuple[int, ...] = ()
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Removal:
    """Takes back all judgements before it with one of ``keys``, or of a time below ``before``."""

    time: float
    keys: tuple[str, ...] = ()
    before: float | None = None
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class LimitsNoted:
    """The limits that the server counts by which writes the log from here on."""

    time: float
    limits: Limits
    sequence: int = 0


Record = Given | Removal | LimitsNoted
Some = TypeVar("Some", bound=Record)


@dataclass(frozen=True, slots=True)
class Judgement:
    """One judgement with who gave it and when."""

    query: str
    passage: str
    weight: float
    client: str
    time: float


@dataclass(frozen=True, slots=True)
class FeedbackContent:
    """What a log holds: all its records, oldest first."""

    id: str
    records: tuple[Record, ...]

    @property
    def sequence(self) -> int:
        """The last number given; 0 before the first."""
        return self.records[-1].sequence if self.records else 0

    @property
    def given(self) -> tuple[Given, ...]:
        """What no removal took back, oldest first."""
        return _surviving(self.records)

    @property
    def limits(self) -> Limits:
        """Those noted last."""
        noted = (r.limits for r in reversed(self.records) if isinstance(r, LimitsNoted))
        return next(noted, Limits())

    def tally(self) -> Tally:
        """What is left of its judgements, added up by its limits."""
        tally = Tally(self.limits)
        for one in self.judgements:
            tally.add(one.query, one.passage, one.client, one.weight)
        return tally

    def until(self, sequence: int) -> FeedbackContent:
        """What it held when ``sequence`` was the last number given."""
        return replace(self, records=tuple(r for r in self.records if r.sequence <= sequence))

    @property
    def judgements(self) -> list[Judgement]:
        """Each judgement for itself, in the order given."""
        return [Judgement(*pair, one.client, one.time) for one in self.given for pair in one.pairs]


def read_feedback(path: Path) -> FeedbackContent:
    """The content of the log at ``path``, which a server may be writing; what is unfinished is left out.

    Raises FeedbackCorrupt, or OSError where the file cannot be read.
    """
    content, end = _read(path)
    if end == 0:
        raise FeedbackCorrupt(path, 1, "nothing was written to this log yet")
    return content


class FeedbackLog:
    """A log opened for writing, by this process alone; call it from one thread at a time."""

    def __init__(self, path: Path, file: FileIO, id_: str, sequence: int, end: int) -> None:
        self.path = path
        self.id = id_
        self.sequence = sequence
        self.bytes = end
        self._file = file
        self._torn = False

    @classmethod
    def open(cls, path: Path) -> tuple[FeedbackLog, FeedbackContent]:
        """The log at ``path``, made where there is none, and what it holds.

        Cuts off an unfinished end, and keeps it in ``NAME.cut``. Raises FeedbackCorrupt where a line is
        damaged, or FieldError naming the setting where the file cannot be opened or another process
        writes it.
        """
        try:
            file = FileIO(path, "r+", opener=_open_or_create)
        except OSError as error:
            reason = f"cannot open {path}: {error.strerror}"
            raise FieldError("feedback", reason) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            content, end = _read(path)
            log = cls(path, file, content.id, content.sequence, end)
            log._make_whole()
        except BlockingIOError as error:
            file.close()
            reason = f"another process writes to {path}; each server needs a log of its own"
            raise FieldError("feedback", reason) from error
        except OSError as error:
            file.close()
            reason = f"cannot use {path}: {error.strerror or error}"
            raise FieldError("feedback", reason) from error
        except BaseException:
            file.close()
            raise
        return log, replace(content, id=log.id)

    def _make_whole(self) -> None:
        self._file.seek(self.bytes)
        unfinished = self._file.readall().rstrip(b"\0")
        if unfinished:
            kept = self.path.with_name(f"{self.path.name}.cut")
            with open(kept, "ab", opener=_open_or_create) as file:
                file.write(unfinished + b"\n")
                file.flush()
                os.fsync(file)
            sync(kept.absolute().parent)
            _log.warning(
                "unfinished end of the feedback log cut off",
                file=str(self.path), bytes=len(unfinished), kept_in=str(kept),
            )  # fmt: skip
        self._cut()
        if self.bytes == 0:
            self.id = token_hex(16)
            self._write(_line({"format": FORMAT, "id": self.id}))
            sync(self.path.absolute().parent)

    def append(self, records: Sequence[Some]) -> list[Some]:
        """``records``, one or more, with their numbers: all of them on the disk when this returns.

        Raises OSError where they cannot be written. None of them is in the log then, unless the power
        fails before that is on the disk, and the log can be used on.
        """
        numbered = [
            replace(record, sequence=number)
            for number, record in enumerate(records, self.sequence + 1)
        ]
        self._write(_line({"records": [asdict(record) for record in numbered]}))
        self.sequence = numbered[-1].sequence
        return numbered

    def _write(self, line: bytes) -> None:
        if self._torn:
            self._cut()
        self._torn = True
        try:
            rest = memoryview(line)
            while rest:  # a disk that fills up takes a part first, and then refuses the rest
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file)
        except OSError:
            with suppress(OSError):  # or else before the next append
                self._cut()
            raise
        self._torn = False
        self.bytes += len(line)

    def _cut(self) -> None:
        """End the file after its last whole line."""
        self._file.truncate(self.bytes)
        self._file.seek(self.bytes)
        os.fsync(self._file)
        self._torn = False

    def close(self) -> None:
        """Close the file and let others write to it."""
        self._file.close()


def _open_or_create(path: str, flags: int) -> int:
    # Queries and addresses of callers are nobody else's business.
    return os.open(path, flags | os.O_CREAT, 0o600)


def _read(path: Path) -> tuple[FeedbackContent, int]:
    """What stands in the whole lines at ``path``, and where they end: at 0 if there is no header yet."""
    records: list[Record] = []
    with path.open("rb") as file:
        head = file.readline(_LONGEST_HEADER)
        id_ = _id_in(path, head)
        if id_ is None:
            return FeedbackContent("", ()), 0
        end, sequence = len(head), 0
        for number, line in enumerate(file, 2):
            found = _object(line)
            if found is None:
                if _is_unfinished(line):
                    break  # it has no newline, so it is the last
                raise FeedbackCorrupt(path, number, _DAMAGED)
            for record in _records(path, number, found):
                if record.sequence <= sequence:
                    reason = f"number {record.sequence} after {sequence}; logs cannot be joined"
                    raise FeedbackCorrupt(path, number, reason)
                sequence = record.sequence
                records.append(record)
            end += len(line)
    return FeedbackContent(id_, tuple(records)), end


def _id_in(path: Path, head: bytes) -> str | None:
    """The log's id by its first line; None where a kill left that unfinished. Raises FeedbackCorrupt."""
    header = _object(head)
    if header is None:
        # Whatever else the path may name stays as it is.
        begun = head.rstrip(b"\0")
        unfinished = len(begun) < len(_BLANK_HEADER)
        if unfinished and _HEADER.fullmatch(begun + _BLANK_HEADER[len(begun) :]):
            return None
        raise FeedbackCorrupt(path, 1, "not the first line of a feedback log; name another file")
    if header.get("format") != FORMAT:
        reason = f"format {header.get('format')}, this version reads {FORMAT}: upgrade lurcher"
        raise FeedbackCorrupt(path, 1, reason)
    return str(header["id"])


_DAMAGED = (
    "the line is damaged; bring the file back from a copy, or delete this line, which loses the"
    " feedback in it alone"
)


def _is_unfinished(line: bytes) -> bool:
    """Whether a write of ``line`` was cut short, so that nobody was told it is there."""
    if line.endswith(b"\n"):
        return False
    # One that is whole but for its last byte was written whole, and that byte changed since.
    return line.endswith(b"\0") or _object(line[:-1] + b"\n") is None


def _surviving(records: Sequence[Record]) -> tuple[Given, ...]:
    """What no later removal takes back."""
    kept: list[Given] = []
    keys: set[str] = set()
    before = float("-inf")
    for record in reversed(records):
        if isinstance(record, Removal):
            keys.update(record.keys)
            before = max(before, before if record.before is None else record.before)
        elif isinstance(record, Given) and record.key not in keys and record.time >= before:
            kept.append(record)
    return tuple(reversed(kept))


def _line(content: dict[str, Any]) -> bytes:
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    return b"%08x %b\n" % (zlib.crc32(text), text)


def _object(line: bytes) -> dict[str, Any] | None:
    """The object in ``line``; None where the line is unfinished or damaged."""
    if not line.endswith(b"\n") or line[:9] != b"%08x " % zlib.crc32(line[9:-1]):
        return None
    try:
        found = json.loads(line[9:])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _records(path: Path, number: int, found: dict[str, Any]) -> list[Record]:
    """The records in ``found``, which is line ``number``. Raises FeedbackCorrupt."""
    try:
        return [_record(one) for one in found["records"]]
    except (KeyError, TypeError) as error:
        raise FeedbackCorrupt(path, number, "not a line of records") from error


def _record(plain: dict[str, Any]) -> Record:
    """The record that ``plain`` stands for. Raises KeyError or TypeError where it is none."""
    if "limits" in plain:
        return LimitsNoted(**{**plain, "limits": Limits(**plain["limits"])})
    if "pairs" not in plain:
        return Removal(**{**plain, "keys": tuple(plain["keys"])})
    pairs = tuple(Pair(*pair) for pair in plain["pairs"])
    return Given(**{**plain, "pairs": pairs, "refused": tuple(plain["refused"])})
