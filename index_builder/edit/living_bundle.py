"""A bundle that changes: segments of files, segments in memory, and what is deleted of each.

Each step makes the next ``Bundle`` of the same segments, some new ones and other deletions; whoever searches
the last one goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.fail_points import FailPoint, carry_on
from lurcher.bundle.passages import Rows
from lurcher.bundle.sync import DISK, Disk
from lurcher.index_builder.edit.changes import Added, Change, Sum, summed
from lurcher.index_builder.edit.encode import Encoded, joined
from lurcher.index_builder.edit.encoded_texts import SharedEncoder
from lurcher.index_builder.edit.memory_segment import memory_segment
from lurcher.index_builder.edit.merge_policy import WritePolicy
from lurcher.index_builder.edit.parts import Part, in_memory
from lurcher.index_builder.edit.recalibrate import recalibrate
from lurcher.index_builder.edit.requests import stored_passages
from lurcher.index_builder.edit.stored_parts import Compaction, StoredParts
from lurcher.index_builder.progress import Reporter

EncoderOf = Callable[[Bundle], SharedEncoder]


class LivingBundle:
    """The bundle of a writer as it is now, ``bundle``; call it from one thread at a time."""

    def __init__(
        self, bundle: Bundle, policy: WritePolicy, encoder_of: EncoderOf,
        fail_point: FailPoint = carry_on, disk: Disk = DISK,
    ) -> None:  # fmt: skip
        """Begin with ``bundle``, which this closes; ``encoder_of`` gives what encodes for it."""
        self._policy, self._encoder_of = policy, encoder_of
        self._fail_point, self._disk = fail_point, disk
        self._begin(bundle)

    def _begin(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.stored = StoredParts(bundle, self._policy, self._fail_point, self._disk)
        self._memory: list[Part] = []
        self._encoder: SharedEncoder | None = None

    @property
    def in_memory(self) -> int:
        """How many passages are in segments in memory."""
        return sum(part.size.live for part in self._memory)

    @property
    def _parts(self) -> list[Part]:
        """All segments in the order of the bundle's rows."""
        return [*self.stored.parts, *self._memory]

    def apply(self, changes: Sequence[Change]) -> None:
        """Make ``changes``, in their order. Raises ModelError; nothing is changed then."""
        total = summed(changes, lambda ids: stored_passages(self.bundle, ids))
        encoded = self._encoded(total)
        parts = self._without(list(total.removed))
        self.stored.parts, self._memory = parts[: self.stored.count], parts[self.stored.count :]
        if encoded is not None:
            self._memory.append(self._in_memory(encoded))
        self._merge()
        self._swap()

    def _encoded(self, total: Sum) -> Encoded | None:
        """What ``total`` adds, encoded; what the bundle has already is not encoded again."""
        if not total.added:
            return None
        before = stored_passages(self.bundle, [id_ for id_ in total.added if id_ in total.removed])
        had = self.bundle.since(list(before))
        since = {
            id_: had.get(id_) if one.since is None else one.since
            for id_, one in total.added.items()
        }
        same = [
            id_ for id_, one in before.items() if one.content == total.added[id_].passage.content
        ]
        found: dict[str, Encoded] = {}
        for id_, one in zip(same, self._read(same), strict=True):
            added = total.added[id_]
            found[id_] = replace(
                one, passages=(added.passage,), sources=(added.source,), since=(since[id_],)
            )
        new = [id_ for id_ in total.added if id_ not in found]
        if new:
            some = [total.added[id_] for id_ in new]
            made = self._made(some)
            made = replace(made, since=tuple(since[id_] for id_ in new))
            if len(new) == len(total.added):
                return made
            found |= {id_: made.take([place]) for place, id_ in enumerate(new)}
        return joined([found[id_] for id_ in total.added])

    def _made(self, some: Sequence[Added]) -> Encoded:
        """``some``, encoded; one after the other if it is to go slowly."""
        encode, pause = self.encoder().encode, self.stored.pause
        if pause is None:
            return encode([one.passage for one in some], [one.source for one in some])
        made = []
        for one in some:
            pause()
            made.append(encode([one.passage], [one.source]))
        return joined(made)

    def encoder(self) -> SharedEncoder:
        """What encodes passages that nobody has encoded yet."""
        if self._encoder is None:
            self._encoder = self._encoder_of(self.bundle)
        return self._encoder

    def _read(self, ids: Sequence[str]) -> list[Encoded]:
        """Each of the passages ``ids`` of the bundle, as it is stored."""
        rows = self.bundle.passages.rows_of(ids)
        parts, found = self._parts, dict[int, Encoded]()
        for part, places, local in self.bundle.rows.split(_array([rows[id_] for id_ in ids])):
            read = parts[part].read(local)
            found |= {place: read.take([i]) for i, place in enumerate(places.tolist())}
        return [found[place] for place in range(len(ids))]

    def _without(self, removed: Sequence[str]) -> list[Part]:
        """The segments without the passages ``removed``."""
        parts = self._parts
        rows = _array(list(self.bundle.passages.rows_of(removed).values()))
        for part, _, local in self.bundle.rows.split(rows):
            parts[part] = parts[part].without(local)
        return parts

    def _in_memory(self, encoded: Encoded) -> Part:
        bundle = self.bundle
        like = bundle.segments[0].vectors
        return in_memory(memory_segment(encoded, bundle.manifest, bundle.codecs, like), encoded)

    def _merge(self) -> None:
        """Make one of segments in memory, as often as the policy says."""
        while places := self._policy.to_merge([part.size for part in self._memory]):
            live = [
                part.read(part.live)
                for part in (self._memory[place] for place in places)
                if part.size.live
            ]
            kept = [part for place, part in enumerate(self._memory) if place not in places]
            self._memory = [*kept, *([self._in_memory(joined(live))] if live else [])]

    def _swap(self) -> None:
        """Make the bundle of the segments as they are now."""
        before = self.bundle
        self.bundle = self.reader()
        before.close()

    def reader(self) -> Bundle:
        """The bundle as it is now, for somebody who closes it."""
        parts = self._parts
        now = replace(self.bundle, manifest=self.stored.manifest, codecs=self.stored.codecs)
        return now.with_segments([part.segment for part in parts], [part.deleted for part in parts])

    def flush(self, sequence: int, rotate: Callable[[], object]) -> None:
        """Publish a generation that has all writes up to ``sequence``; ``rotate`` is called before that.

        Raises OSError; nothing is changed then.
        """
        live = [part.read(part.live) for part in self._memory if part.size.live]
        self.stored.flush(live, sequence, rotate)
        self._memory = []
        self._swap()

    def install(self, work: Compaction) -> None:
        """Publish a generation with what ``work`` has written. Raises OSError; nothing is changed then."""
        self.stored.install(work, self.bundle.neighbours)
        self._swap()

    def recalibrate(self, report: Reporter) -> None:
        """Publish a generation in which all is learnt anew that a build learns; nothing may be in memory.

        Raises FieldError if there is no passage, ModelError, OSError; nothing is changed then.
        """
        recalibrate(self.bundle, self.stored.new_name(), report, self._fail_point, self._disk)
        before = self.bundle
        self._begin(Bundle.open(before.path, check_hashes=False))
        before.close()

    def close(self) -> None:
        """Let go of the bundle."""
        self.bundle.close()


def _array(rows: Sequence[int]) -> Rows:
    return np.array(rows, np.int64)
