"""A bundle that another process writes, followed: each generation, and the acknowledged writes in its log.

::

    poll    anything new? (a few stats) ── the newest generation ── the log's writes after it, in memory

What the writer has encoded lies beside the log, so following costs next to nothing. Should the writer die
between acknowledging a write and encoding it, the follower encodes it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.fail_points import FailPoint, carry_on
from lurcher.bundle.generations import of_newest
from lurcher.bundle.manifest import MANIFEST, Manifest
from lurcher.bundle.wal import WAL
from lurcher.bundle.wal_format import Entry
from lurcher.bundle.wal_tail import LogTail
from lurcher.errors import BundleError, WalCorrupt
from lurcher.index_builder.edit.changes import Change
from lurcher.index_builder.edit.encode import PassageEncoder
from lurcher.index_builder.edit.encoded_texts import (
    EncodedTexts,
    LoadEncoder,
    SharedEncoder,
    key_of,
)
from lurcher.index_builder.edit.living_bundle import LivingBundle
from lurcher.index_builder.edit.merge_policy import WritePolicy

# Seconds without a sign of the writer after which what it has acknowledged is encoded here.
PATIENCE = 5.0

_Logged = tuple[int, Change]  # a write's sequence, and what it does
_Seen = tuple[tuple[str, int, int, int], ...]  # name, inode, size and time of files


class Follower:
    """A bundle as it is now, in a process that does not write it; call it from one thread at a time."""

    def __init__(
        self, bundle: Bundle, policy: WritePolicy, load_encoder: LoadEncoder,
        clock: Callable[[], float], fail_point: FailPoint, *, check_hashes: bool,
    ) -> None:  # fmt: skip
        self.path, self._fail_point = bundle.path, fail_point
        self._policy, self._load_encoder, self._clock = policy, load_encoder, clock
        self._check_hashes = check_hashes
        self._known = EncodedTexts()
        self._living = self._living_of(bundle)
        manifest = bundle.manifest
        self._tail = LogTail(self.path / WAL, _identity(manifest), manifest.sequence)
        self._applied: list[_Logged] = []  # after the generation
        self._pending: list[_Logged] = []  # acknowledged, and not encoded yet
        self._forgotten: set[str] = set()
        self._last_sign = clock()
        self._seen: _Seen | None = None
        self.sequence = manifest.sequence

    @classmethod
    def open(
        cls, path: Path, *, threads: int = 1, check_hashes: bool = True,
        policy: WritePolicy | None = None, clock: Callable[[], float] = monotonic,
        load_encoder: LoadEncoder | None = None, fail_point: FailPoint = carry_on,
    ) -> Follower:  # fmt: skip
        """The follower of the bundle at ``path``, with all that is acknowledged.

        ``load_encoder`` gives what encodes passages, None: the bundle's own, of ``threads``. Raises
        BundleError, WalCorrupt, or ModelError.
        """
        load = load_encoder or partial(PassageEncoder.load, threads=threads)

        def opened(_: Manifest) -> Follower:
            return cls(
                Bundle.open(path, check_hashes), policy or WritePolicy(), load, clock, fail_point,
                check_hashes=check_hashes,
            )  # fmt: skip

        follower = of_newest(path, opened)
        try:
            follower.poll()
        except BaseException:
            follower.abandon()
            raise
        return follower

    @property
    def bundle(self) -> Bundle:
        """The bundle as it is now; the next ``poll`` may close it."""
        return self._living.bundle

    def reader(self) -> Bundle:
        """The bundle as it is now, for somebody who closes it."""
        return self._living.reader()

    def take_forgotten(self) -> set[str]:
        """The passages that went, or got another text, by the writes read since this was last asked."""
        taken, self._forgotten = self._forgotten, set()
        return taken

    def poll(self) -> bool:
        """Take in what was written since the last time; whether ``bundle`` is another now.

        ``sequence`` is the last write that it has, and never becomes less. Where this fails, the bundle is as
        it was or newer. Raises BundleError, also where another bundle has taken its place, WalCorrupt,
        ModelError, or OSError.
        """
        seen = _files(self.path)
        if seen == self._seen and not self._pending:
            return False
        before = self._living, self.sequence
        of_newest(self.path, self._catch_up)
        self._seen = seen
        return before != (self._living, self.sequence)

    def _catch_up(self, found: Manifest) -> None:
        """Go on to generation ``found`` and what the log has after it."""
        self._move(found)
        self._read()

    def _move(self, found: Manifest) -> None:
        """Go on to generation ``found``, if it is another."""
        before = self._living.bundle.manifest
        if found.checksum == before.checksum:
            return
        if _identity(found) != _identity(before) or found.generation <= before.generation:
            reason = (
                f"is another bundle now, or an older state of it (generation {found.generation} after"
                f" {before.generation}): it is not followed"
            )
            raise BundleError(self.path, reason)
        bundle = self._living.bundle.refreshed(self._check_hashes)
        has = bundle.manifest.sequence
        applied = [one for one in self._applied if one[0] > has]
        living = self._living_of(bundle)
        try:
            if applied:
                living.apply([change for _, change in applied])
        except BaseException:
            living.close()
            raise
        self._living.close()
        self._living, self._applied = living, applied
        self._pending = [one for one in self._pending if one[0] > has]
        changes = [change for _, change in (*applied, *self._pending)]
        self._known.keep(
            [one for change in changes for one in change.passages], key_of(bundle.manifest)
        )
        self._tail.taken(has)
        self.sequence = max(self.sequence, has)

    def _living_of(self, bundle: Bundle) -> LivingBundle:
        self._fail_point("follower: bundle opened")
        try:
            return LivingBundle(bundle, self._policy, self._encoder)
        except BaseException:
            bundle.close()
            raise

    def _encoder(self, bundle: Bundle) -> SharedEncoder:
        key = key_of(bundle.manifest)
        return SharedEncoder(self._known, key, lambda: self._load_encoder(bundle), self._known.add)

    def _read(self) -> None:
        """Apply what the log has that is new and encoded."""
        entries, payloads = self._tail.read()
        for payload in payloads:
            with suppress(ValueError):  # of another version; it is encoded here
                self._known.load(payload)
        self._pending += [(one.sequence, self._change(one)) for one in entries]
        if entries:
            self._tail.taken(entries[-1].sequence)
        certain = self._tail.acknowledged
        if certain is not None and certain < self.sequence:
            reason = f"its log ends with write {certain}, and write {self.sequence} was seen before"
            raise BundleError(self.path, f"{reason}: it is not followed")
        if entries or payloads:
            self._last_sign = self._clock()
        ready = [one for one in self._pending if self._is_due(one[0])]
        if not ready:
            return
        self._living.apply([change for _, change in ready])
        self._applied += ready
        self._forgotten.update(*(change.forgotten for _, change in ready))
        self._pending = self._pending[len(ready) :]
        self.sequence = ready[-1][0]

    def _is_due(self, sequence: int) -> bool:
        encoded = self._tail.encoded
        late = self._clock() - self._last_sign >= PATIENCE
        return encoded is None or sequence <= encoded or late

    def _change(self, entry: Entry) -> Change:
        try:
            return Change.of(entry.op, entry.body)
        except (TypeError, ValueError) as error:
            reason = f"write {entry.sequence} is none that this version knows: {error}"
            raise WalCorrupt(self.path / WAL, 0, reason) from error

    def abandon(self) -> None:
        """Let go of the bundle."""
        self._living.close()
        del self._living  # which refers to this


def _identity(manifest: Manifest) -> str:
    """What the log calls the bundle."""
    return f"{manifest.name} {manifest.created}"


def _files(path: Path) -> _Seen:
    """What tells whether anything was written to the bundle at ``path``. Raises OSError."""
    found = [_stated(MANIFEST, (path / MANIFEST).stat())]
    with suppress(FileNotFoundError), os.scandir(path / WAL) as entries:
        for entry in entries:
            if entry.name.endswith((".log", ".follow")):
                with suppress(FileNotFoundError):
                    found.append(_stated(entry.name, entry.stat()))
    return tuple(sorted(found))


def _stated(name: str, stat: os.stat_result) -> tuple[str, int, int, int]:
    return name, stat.st_ino, stat.st_size, stat.st_mtime_ns
