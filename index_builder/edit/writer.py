"""The one writer of a bundle: a write goes to the log, then into segments in memory, later to files.

::

    commit    resolve ── log, synced ── (durable) ── encode ── segment in memory, deletions ── (visible)
                                                     └─ what is encoded goes beside the log, for followers
    flush     all that is in memory to one segment of files ── next generation ── a new log
    compact   some segments of files, without what is deleted, to one ── next generation

A kill at any moment leaves a generation and the log after it; opening the writer again reads the log. When
what is merged says ``merge_policy``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic, time
from typing import BinaryIO

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.fail_points import FailPoint, carry_on
from lurcher.bundle.locks import Held, hold, is_there
from lurcher.bundle.sync import DISK, Disk
from lurcher.bundle.wal import LOCK, WAL, WriteAheadLog
from lurcher.errors import BundleError, FieldError, LurcherError, WalCorrupt, WriteNotKept
from lurcher.index_builder.edit.changes import Change, Mark
from lurcher.index_builder.edit.encode import PassageEncoder
from lurcher.index_builder.edit.encoded_texts import LoadEncoder
from lurcher.index_builder.edit.follow_log import FollowLog
from lurcher.index_builder.edit.living_bundle import LivingBundle
from lurcher.index_builder.edit.merge_policy import WritePolicy
from lurcher.index_builder.edit.requests import (
    Delete,
    Receipt,
    Request,
    Upsert,
    marked,
    names_of,
    resolve,
)
from lurcher.index_builder.edit.splitting import splitter_of
from lurcher.index_builder.edit.stored_parts import Compaction, Pause
from lurcher.index_builder.progress import Reporter, Silent
from lurcher.index_builder.split import Splitter

Outcome = Receipt | LurcherError
OnDurable = Callable[[Mapping[int, Receipt]], object]
_Resolved = tuple[Request, Change, Receipt]

# Requests whose keys are remembered.
KEYS = 1_000


def _ignore(_: Mapping[int, Receipt]) -> None:
    pass


class Writer:
    """A bundle opened to be changed, by this process alone; call it from one thread at a time."""

    def __init__(
        self, living: LivingBundle, log: WriteAheadLog, follow: FollowLog, lock: BinaryIO,
        held: ExitStack, policy: WritePolicy, clock: Callable[[], float], now: Callable[[], float],
    ) -> None:  # fmt: skip
        self._living, self._log, self._follow, self._held = living, log, follow.file, held
        self._lock = lock
        self._policy, self._clock, self._now = policy, clock, now
        self.path, self.torn = living.bundle.path, log.torn
        self._unapplied: list[Change] = []
        self._marks: OrderedDict[tuple[str, str], Mark] = OrderedDict()
        self._splitter: Splitter | None = None
        self._forgotten: set[str] = set()
        self._oldest: float | None = None  # when the first write after the last generation came

    @classmethod
    def open(
        cls, path: Path, *, threads: int = 1, check_hashes: bool = True,
        policy: WritePolicy | None = None, clock: Callable[[], float] = monotonic,
        now: Callable[[], float] = time,
        load_encoder: LoadEncoder | None = None, ranker_model: Path | None = None,
        fail_point: FailPoint = carry_on, disk: Disk = DISK,
    ) -> Writer:  # fmt: skip
        """The writer of the bundle at ``path``, with all that its log has.

        ``load_encoder`` gives what encodes passages, None: the bundle's own, of ``threads``.
        ``ranker_model`` is the folder of a T5 that ranks in it. ``torn`` says what of the log was cut off.
        Raises FieldError where another process writes the bundle, BundleError, WalCorrupt, and ModelError
        where what the log has cannot be encoded.
        """
        policy = policy or WritePolicy()
        Bundle.open(path, check_hashes=False).close()  # says what is wrong before anything is made
        path = path.resolve()  # a link may lead elsewhere tomorrow
        with ExitStack() as undo:
            try:
                (path / WAL).mkdir(exist_ok=True)
                lock = hold(path / LOCK)
                undo.callback(lock.close)
                bundle = Bundle.open(path, check_hashes)
                load = load_encoder or partial(
                    PassageEncoder.load, threads=threads, ranker_model=ranker_model
                )
                follow = FollowLog(path / WAL, load)
                living = LivingBundle(bundle, policy, follow.encoder, fail_point, disk)
                undo.callback(living.close)
                living.stored.sweep()
                manifest = living.stored.manifest
                identity = f"{manifest.name} {manifest.created}"
                log = WriteAheadLog(path / WAL, identity, manifest.sequence, fail_point, disk)
                undo.callback(log.close)
                undo.callback(follow.begin(log.sequence, manifest.sequence, fail_point).close)
            except Held as error:
                reason = f"{path} is being written by {error.by}; a bundle has one writer"
                raise FieldError("bundle", reason) from error
            except OSError as error:
                raise BundleError(path, f"cannot be written: {error}") from error
            writer = cls(living, log, follow, lock, undo, policy, clock, now)
            writer._replay()
            follow.replayed()
            writer._held = undo.pop_all()
        return writer

    def _replay(self) -> None:
        """Take in what the log has."""
        for mark in self._log.keys:
            self._remember(Mark(*mark))
        for entry in self._log.entries:
            try:
                change = Change.of(entry.op, entry.body)
            except (TypeError, ValueError) as error:
                reason = f"write {entry.sequence} is none that this version knows: {error}"
                raise WalCorrupt(self.path / WAL, 0, reason) from error
            self._remember(change.mark)
            self._unapplied.append(change)
        self._log.entries.clear()
        self._catch_up()

    @property
    def bundle(self) -> Bundle:
        """The bundle as it is now; the next write closes it."""
        return self._living.bundle

    def reader(self) -> Bundle:
        """The bundle as it is now, for somebody who closes it."""
        return self._living.reader()

    @property
    def sequence(self) -> int:
        """The number of the last write."""
        return self._log.sequence

    @property
    def log_bytes(self) -> int:
        """How many bytes its log has; from any thread."""
        return self._log.bytes

    def commit(self, requests: Sequence[Request], durable: OnDurable = _ignore) -> list[Outcome]:
        """The outcome of each of ``requests``, done in their order: its receipt, or its error.

        Searches of ``bundle`` know them when this returns. ``durable`` is called with the receipts of some of
        them, by their places, when they are on the disk. Raises ModelError; what is on the disk is applied by
        the next call.
        """
        self._catch_up()
        outcomes: dict[int, Outcome] = {}
        pending: dict[int, _Resolved] = {}
        touched: set[str] = set()
        for place, request in enumerate(requests):
            try:
                names = names_of(request)
                resolved = (
                    None if names is None or touched & names else self._resolved(request, pending)
                )
                if pending and (resolved is None or touched & resolved[0].ids):
                    # It depends on one before it, which has to be done first.
                    outcomes |= self._settle(pending, durable)
                    pending, touched = {}, set()
                    resolved = None
                change, receipt = resolved or self._resolved(request, pending)
            except LurcherError as error:
                outcomes[place] = error
                continue
            if change.ids:
                pending[place] = request, change, receipt
                touched |= change.ids | (names or set())
            else:  # nothing to do, or done before
                outcomes[place] = receipt
                durable({place: receipt})
        outcomes |= self._settle(pending, durable)
        return [outcomes[place] for place in range(len(requests))]

    def check(self, request: Request) -> Receipt:
        """What ``request`` would do to the bundle as it is now; nothing is done. Raises its error."""
        self._catch_up()
        _, receipt = self._resolved(request, {})
        return receipt

    def has_done(self, request: Request) -> bool:
        """Whether its key is remembered, so that it is answered as it was before."""
        return (request.sender.client, request.sender.key) in self._marks

    def _resolved(
        self, request: Request, pending: Mapping[int, _Resolved]
    ) -> tuple[Change, Receipt]:
        """What ``request`` does, and its receipt: nothing and its first one, if it was answered before."""
        sender = request.sender
        known = self._marks.get((sender.client, sender.key)) if sender.key else None
        if known is not None:
            if known.digest != sender.digest:
                reason = "was used for another request; a new request needs a key of its own"
                raise FieldError("Idempotency-Key", reason)
            return Change("delete"), Receipt.of(known.receipt)
        if isinstance(request, Upsert) and self._splitter is None:
            self._splitter = splitter_of(self.bundle)
        change, receipt = resolve(request, self.bundle, self._splitter, self._now())
        if change.passages:
            self._living.encoder().load()  # what could not be encoded must not be in the log
        if isinstance(request, Delete) and request.dry_run:
            change = Change("delete")
        return change, replace(receipt, sequence=self.sequence + len(pending))

    def _settle(self, pending: dict[int, _Resolved], durable: OnDurable) -> dict[int, Outcome]:
        """Log what is ``pending``, then apply it: the outcomes by place."""
        if not pending:
            return {}
        numbered = {
            place: replace(receipt, sequence=number)
            for number, (place, (_, _, receipt)) in enumerate(pending.items(), self.sequence + 1)
        }
        changes = [
            marked(change, request.sender, numbered[place])
            for place, (request, change, _) in pending.items()
        ]
        try:
            self._log.append([(change.op, change.body()) for change in changes])
        except WriteNotKept as error:
            return dict.fromkeys(pending, error)
        self._follow.acknowledge(self.sequence)
        for change in changes:
            self._remember(change.mark)
            self._forgotten |= change.forgotten
        durable(numbered)
        self._unapplied += changes
        self._catch_up()
        return dict(numbered)

    def _remember(self, mark: Mark | None) -> None:
        if mark is not None:
            self._marks[mark.client, mark.key] = mark
            while len(self._marks) > KEYS:
                self._marks.popitem(last=False)

    def _catch_up(self) -> None:
        """Apply what is in the log and not yet in the bundle. Raises ModelError; it is tried again then."""
        if self._unapplied:
            self._living.apply(self._unapplied)
            self._unapplied.clear()
            self._follow.finish(self.sequence)
            if self._oldest is None:
                self._oldest = self._clock()

    def take_forgotten(self) -> set[str]:
        """The passages, since this was called last, that are gone or have another text without being asked
        to keep their feedback: what was judged of them counts no more.
        """
        taken, self._forgotten = self._forgotten, set()
        return taken

    @property
    def flush_is_due(self) -> bool:
        """Whether so much is in memory, or for so long, that it is to go to the disk."""
        policy, oldest = self._policy, self._oldest
        return oldest is not None and (
            self._living.in_memory >= policy.passages
            or self._log.bytes >= policy.log_bytes
            or self._clock() - oldest >= policy.age
        )

    @property
    def seconds_to_flush(self) -> float | None:
        """In how many seconds that is due by age; None if nothing is in memory."""
        oldest = self._oldest
        return None if oldest is None else max(0.0, oldest + self._policy.age - self._clock())

    def flush(self) -> None:
        """Write what is in memory, and what was deleted, to the disk as the next generation.

        Raises BundleError where the disk fails; what was written is in the log and in memory, as before.
        """
        if self._oldest is None:
            return
        self._check_place()
        try:
            self._living.flush(self.sequence, self._rotate)
        except OSError as error:
            reason = f"cannot be written: {error}; what was written to it is in its log"
            raise BundleError(self.path, reason) from error
        self._oldest = None
        self._clean()

    def _check_place(self) -> None:
        """Raise BundleError if another folder is at the bundle's path, in which nothing is this writer's."""
        if not is_there(self._lock, self.path / LOCK):
            reason = (
                "was moved away, or replaced by another; what was written to it is in its log, and goes into "
                "its files when it is opened there to be written"
            )
            raise BundleError(self.path, reason)

    def _rotate(self) -> None:
        # In this order, so that followers never read a log of which nobody says how far it is kept.
        self._follow.rotate(self.sequence)
        self._log.rotate(self._keys())

    def _keys(self) -> list[list[object]]:
        return [[one.client, one.key, one.digest, one.receipt] for one in self._marks.values()]

    def _clean(self) -> None:
        """Remove the files that no generation needs."""
        with suppress(OSError):  # they go when the writer is opened again
            self._log.forget(self._living.stored.manifest.sequence)
            self._follow.forget()
            self._living.stored.sweep()

    def go_slowly(self, pause: Pause, pause_of_compaction: Pause) -> None:
        """Call these before each piece of work, of a write and of a compaction; they may wait."""
        stored = self._living.stored
        stored.pause, stored.pause_of_compaction = pause, pause_of_compaction

    def begin_compaction(self, everything: bool = False) -> Compaction | None:
        """What is to be made one segment, by the policy or of ``everything``; None if it may stay as it is.

        Call its ``write``, in any thread; then ``finish_compaction``. Raises BundleError.
        """
        self._check_place()
        return self._living.stored.begin(everything, self.bundle.neighbours)

    def finish_compaction(self, work: Compaction) -> None:
        """Put what ``work`` has written in the place of what it was made of. Raises BundleError.

        What is in memory is flushed before.
        """
        try:
            self._check_place()
            # What it deletes of the generation's passages, the log only changes: they would be lost.
            self.flush()
            self._living.install(work)
        except OSError as error:
            raise BundleError(self.path, f"cannot be written: {error}; it is as it was") from error
        finally:
            work.close()
        self._clean()

    def compact(self, everything: bool = False) -> bool:
        """Compact once; whether there was anything to do. Raises BundleError.

        After that of ``everything`` nothing that was deleted is in any file.
        """
        if everything:
            self.flush()
        work = self.begin_compaction(everything)
        if work is None:
            return False
        try:
            work.write()
        except OSError as error:
            work.close()
            raise BundleError(self.path, f"cannot be written: {error}; it is as it was") from error
        self.finish_compaction(work)
        return True

    def recalibrate(self, report: Reporter | None = None) -> None:
        """Make one segment of all, and learn anew all that a build learns from its corpus.

        Scores are those of a new build of the same passages then, and nothing that was deleted is in any
        file. Searches of ``bundle`` wait. Raises FieldError if there is no passage, ModelError, BundleError;
        the bundle is as it was then, and the next call goes on from what was done.
        """
        self.flush()
        try:
            self._living.recalibrate(report or Silent())
        except OSError as error:
            reason = f"cannot be written: {error}; what is done is kept for another try"
            raise BundleError(self.path, reason) from error
        self._splitter = None
        self._clean()

    def close(self) -> None:
        """Flush, and let another process write. Raises BundleError; it is closed then, too."""
        try:
            self.flush()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let another process write; what is in memory is in the log."""
        self._held.close()
