"""One shard of a collection: it follows what is written to its bundle, and answers what a coordinator asks.

A search asks several times, and writes come in between: the first time it is answered from the newest state,
and then from the same one, which is kept for some seconds. A state that lies on the disk as a whole is the
same in every replica of the shard; one with writes that are in memory is this replica's own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic
from uuid import uuid4

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.filter_fields import FilterFields
from lurcher.bundle.frequencies import Frequencies
from lurcher.cluster.cluster_file import ClusterFile, check_bundle, read_words
from lurcher.cluster.copies import BuiltCopies
from lurcher.cluster.messages import Reply, Request
from lurcher.cluster.row_numbers import RowNumbers
from lurcher.cluster.shard_state import ShardState
from lurcher.index_builder.edit.follower import Follower
from lurcher.models.engines import EngineName
from lurcher.retrieval.snapshot import Snapshot

# States that are kept for searches that have begun: for so many seconds, and so many at most.
_SECONDS, _STATES = 30.0, 64
# Between a state and the replica that alone has it.
_AT = "@"


def as_part(bundle: Bundle, cluster: ClusterFile, words: Frequencies | None, built: str) -> Bundle:
    """``bundle``, which knows words and fields of metadata that only other bundles of ``cluster`` have.

    ``words`` are as ``words_of`` gives them, and ``built`` is the segment that the build wrote.
    """
    written = [one.passages.filter_fields for one in bundle.segments if one.name != built]
    bundle.passages.filter_fields = FilterFields.joined([FilterFields(cluster.fields), *written])
    if bundle.lexical is None:
        return bundle
    return replace(bundle, lexical=replace(bundle.lexical, is_part=True, held=words))


def words_of(bundle: Bundle, cluster: ClusterFile) -> Frequencies | None:
    """What ``read_words`` gives for a ``bundle`` of ``cluster``, or for one without words: None.

    Raises BundleCorrupt.
    """
    if bundle.lexical is None:
        return None
    return read_words(bundle.path.parent, cluster, bundle.lexical.settings)


def replica_of(state: str) -> str:
    """The replica that alone has the ``state`` of a message; "" if all have it."""
    return state.partition(_AT)[2]


class Shard:
    """Answers for the passages of one shard; call it from one thread at a time."""

    def __init__(
        self, folder: Path, cluster: ClusterFile, number: int, threads: int = 1,
        engine: EngineName = "auto", check_hashes: bool = True, replica: str = "",
        clock: Callable[[], float] = monotonic,
    ) -> None:  # fmt: skip
        """Open shard ``number`` of ``cluster`` in ``folder``, as it is now. Raises BundleError, ModelError.

        ``replica`` tells this one from others of the shard, "": by chance.
        """
        entry = cluster.shards[number]
        self._numbers = RowNumbers.read(folder, cluster, number)
        self._copies = BuiltCopies(self._numbers)
        check_bundle(folder, cluster, entry)
        self._cluster, self._replica, self._clock = cluster, replica or uuid4().hex, clock
        self.fingerprint = cluster.fingerprint
        self._follower = Follower.open(
            folder / entry.path, threads=threads, check_hashes=check_hashes
        )
        bundle = self._follower.reader()
        try:
            self._words = words_of(bundle, cluster)
            self._newest = ShardState(Snapshot(self._part(bundle), threads, engine), self._numbers)
        except BaseException:
            bundle.close()
            self._follower.abandon()
            raise
        self._name = self._name_of(bundle)
        # Those before the newest, with the time until which they are kept.
        self._kept: OrderedDict[str, tuple[ShardState, float]] = OrderedDict()

    def answer(self, request: Request) -> Reply:
        """What became of the works of ``request``.

        None is done for another version of the collection, or for a state that is not here any more. Raises
        BundleError, WalCorrupt or ModelError where what is written cannot be followed.
        """
        if request.fingerprint != self.fingerprint:
            return Reply(self.fingerprint, (), "")
        # Another replica may have seen a state on the disk before this one has.
        if not request.state or not (replica_of(request.state) or self._state(request.state)):
            self.follow()
        name = request.state or self._name
        state = self._state(name)
        if state is None:
            return Reply(self.fingerprint, (), self._name)
        return Reply(self.fingerprint, tuple(state.done(request.works)), name)

    def _state(self, name: str) -> ShardState | None:
        """What is called ``name``, if it is here."""
        return self._newest if name == self._name else self._kept.get(name, (None, 0.0))[0]

    def follow(self) -> None:
        """Know all that is acknowledged by now. Raises as ``answer``."""
        self._follower.poll()
        if self._name_of(self._follower.bundle) != self._name:
            bundle = self._follower.reader()
            try:
                snapshot = self._newest.snapshot.moved(self._part(bundle))
            except BaseException:
                bundle.close()
                raise
            self._kept[self._name] = self._newest, self._clock() + _SECONDS
            self._newest, self._name = ShardState(snapshot, self._numbers), self._name_of(bundle)
        self._forget()

    def _forget(self) -> None:
        """Close the states that no search asks for any more."""
        now = self._clock()
        while self._kept:
            state, until = next(iter(self._kept.values()))
            if until > now and len(self._kept) <= _STATES:
                return
            self._kept.popitem(last=False)
            state.snapshot.close()

    def _part(self, bundle: Bundle) -> Bundle:
        part = as_part(bundle, self._cluster, self._words, self._numbers.segment)
        return self._copies.put_into(part)

    def _name_of(self, bundle: Bundle) -> str:
        """What the state is called in which ``bundle`` is what the follower has."""
        sequence = self._follower.sequence
        generation = f"{bundle.manifest.generation}"
        if sequence == bundle.manifest.sequence:
            return generation
        return f"{generation}.{sequence}{_AT}{self._replica}"

    def close(self) -> None:
        """Close the bundle."""
        for state in (self._newest, *(one for one, _ in self._kept.values())):
            state.snapshot.close()
        self._follower.abandon()
