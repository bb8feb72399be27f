"""The segments of files that a writer works on, and the generations that it publishes of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.fail_points import FailPoint
from lurcher.bundle.frequencies import LEXICAL, Frequencies, frequencies_folder
from lurcher.bundle.generations import UNFINISHED, next_generation, publish_generation
from lurcher.bundle.manifest import FileEntry, SegmentEntry, hash_file
from lurcher.bundle.neighbours import Neighbours
from lurcher.bundle.passages import Rows
from lurcher.bundle.segment import Segment
from lurcher.bundle.sync import Disk
from lurcher.bundle.tombstones import deleted_file, write_deleted
from lurcher.index_builder.edit.disk_segment import write_segment
from lurcher.index_builder.edit.encode import Encoded
from lurcher.index_builder.edit.gather import Gatherer
from lurcher.index_builder.edit.kept_labels import write_kept_labels
from lurcher.index_builder.edit.merge_policy import WritePolicy
from lurcher.index_builder.edit.parts import Part
from lurcher.index_builder.edit.recalibrate import sweep_unneeded

_SEGMENTS = "segments"

Pause = Callable[[], object]


class StoredParts:
    """The segments of files of the bundle that a writer holds."""

    def __init__(
        self, bundle: Bundle, policy: WritePolicy, fail_point: FailPoint, disk: Disk
    ) -> None:
        """Those of ``bundle``."""
        self._disk = disk
        self._root, self.codecs, self._fail_point = bundle.path, bundle.codecs, fail_point
        self.manifest, self._policy = bundle.manifest, policy
        # Called before each piece of work, of a write and of a compaction; None: they go as fast as they can.
        self.pause: Pause | None = None
        self.pause_of_compaction: Pause | None = None
        self._last_name = -1
        self._unfinished: set[str] = set()  # segments that are being written
        self.parts: list[Part] = []
        live = bundle.rows.live
        for place, entry in enumerate(bundle.manifest.segments):
            part = self._part(bundle.segments[place], entry)
            deleted = None if live is None else np.flatnonzero(~live[bundle.rows.among(place)])
            self.parts.append(
                part if deleted is None or not len(deleted) else part.without(deleted)
            )

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.parts)

    def _part(self, segment: Segment, entry: SegmentEntry) -> Part:
        reader = Gatherer(self._root, self.manifest, self.codecs, segment)
        return Part(segment, reader.read, entry=entry)

    def new_name(self) -> str:
        """A name that no segment has."""
        there = [int(one.name) for one in (self._root / _SEGMENTS).iterdir() if one.name.isdigit()]
        self._last_name = max([self._last_name, *there]) + 1
        return f"{self._last_name:06}"

    def flush(self, added: Sequence[Encoded], sequence: int, rotate: Callable[[], object]) -> None:
        """Publish a generation of all writes up to ``sequence``, with ``added`` in a segment of its own.

        ``rotate`` is called before it is published. Raises OSError; nothing is changed then.
        """
        parts = list(self.parts)
        count = sum(map(len, added))
        files: dict[str, FileEntry] = {}
        if count:
            entry, files = write_segment(
                self._root, self.new_name(), count, added, self.manifest, self.codecs,
                parts[0].segment.vectors, self._fail_point, self._disk,
            )  # fmt: skip
            parts.append(self._opened(entry, files))
        rotate()
        self._publish(parts, files, sequence)

    def _opened(self, entry: SegmentEntry, files: dict[str, FileEntry]) -> Part:
        """The part of a segment that was just written, with ``files``."""
        known = self.manifest.model_copy(update={"files": {**self.manifest.files, **files}})
        return self._part(Segment.open(self._root, known, entry, self.codecs), entry)

    def _publish(
        self, parts: Sequence[Part], files: dict[str, FileEntry], sequence: int,
        counted: Frequencies | None = None, known: Neighbours | None = None,
    ) -> None:  # fmt: skip
        """Make ``parts`` the next generation, and what was ``counted`` its frequencies; ``files`` are new.

        Labels that are gone of the ``known`` queries are in no file of it. Raises OSError; nothing is
        changed then.
        """
        manifest, root = self.manifest, self._root
        generation = manifest.generation + 1
        labels = write_kept_labels(root, manifest, known, self._disk)
        if labels is not None and known is not None:
            manifest = labels.put_into(manifest, known)
            self._fail_point("generation: labels written")
        words = manifest.lexical
        folder = frequencies_folder(manifest.files)
        if counted is not None and words is not None:
            folder = f"{LEXICAL}/{generation:06}"
            written = counted.write(root, folder)
            self._disk.sync_all([*written, root / folder, root / LEXICAL, root])
            files = files | {f"{folder}/{file.name}": hash_file(file) for file in written}
            sizes = {"terms": len(counted.vocabulary), "term_bytes": counted.term_bytes}
            manifest = manifest.model_copy(update={"lexical": words.model_copy(update=sizes)})
            self._fail_point("generation: frequencies written")
        stored, found = [], list[Part]()
        for part in parts:
            entry = part.entry
            assert entry is not None  # noqa: S101 (they are all of files)
            entry = entry.model_copy(update={"stores": manifest.stores_of(entry)})
            size = part.size
            if size.deleted != entry.deletions and part.deleted is not None:
                name = deleted_file(entry.folder, generation)
                write_deleted(root, name, part.deleted)
                self._disk.sync_all([root / name, (root / name).parent])
                files = {**files, name: hash_file(root / name)}
                entry = entry.model_copy(update={"deleted": name, "deletions": size.deleted})
                self._fail_point("generation: deletions written")
            stored.append(entry)
            found.append(replace(part, entry=entry))
        kept = {
            name: entry
            for name, entry in {**manifest.files, **files}.items()
            if _needed(name, stored, folder)
        }
        following = next_generation(manifest, stored, kept).model_copy(
            update={"sequence": sequence}
        )
        publish_generation(root, following, self._fail_point, self._disk)
        self.manifest, self.parts = following, found
        if counted is not None:
            self.codecs = replace(self.codecs, frequencies=counted)

    def begin(self, everything: bool, known: Neighbours | None) -> Compaction | None:
        """What is to be made one segment: as the policy says, or all; None if it may stay as it is.

        It may not where labels of ``known`` queries are gone and all is to be clean.
        """
        sizes = [part.size for part in self.parts]
        places = self._policy.to_merge(sizes)
        if everything:
            clean = len(sizes) == 1 and not sizes[0].deleted
            clean = clean and (known is None or bool((known.numbered >= 0).all()))
            places = [] if clean else list(range(len(sizes)))
        if not places:
            return None
        sources = [self.parts[place] for place in places]
        work = Compaction(self, sources, self.new_name(), everything)
        self._unfinished.add(work.name)
        return work

    def end(self, work: Compaction) -> None:
        """Forget ``work``: what it has written is in the manifest now, or is not needed."""
        self._unfinished.discard(work.name)

    def install(self, work: Compaction, known: Neighbours | None) -> None:
        """Publish a generation with what ``work`` has written in the place of what it was made of.

        What was deleted meanwhile is deleted of it. After a compaction of everything, labels of ``known``
        queries that are gone are in no file. Raises OSError.
        """
        made: list[Part] = []
        if work.entry is not None:
            part = self._opened(work.entry, work.files)
            gone = self._gone(work)
            made = [part.without(gone) if len(gone) else part]
        names = {part.segment.name for part in work.sources}
        first = next(i for i, part in enumerate(self.parts) if part.segment.name in names)
        others = [part for part in self.parts if part.segment.name not in names]
        before = sum(part.segment.name not in names for part in self.parts[:first])
        parts = [*others[:before], *made, *others[before:]]
        counted = self._counted(parts, work.everything)
        known = known if work.everything else None
        self._publish(parts, work.files, self.manifest.sequence, counted, known)

    def _counted(self, parts: Sequence[Part], everything: bool) -> Frequencies | None:
        """The frequencies to write with ``parts``; None: those there are may stay.

        The first segment has them as long as no file has. After a compaction of ``everything`` no term can be
        read that only deleted passages had.
        """
        before, words = self.codecs.frequencies, self.parts[0].segment.lexical
        gone = before is None and parts[0].segment is not self.parts[0].segment
        if words is None or not (everything or gone):
            return None
        counted = before or Frequencies.of(words)
        if not everything:
            return counted
        live = [part.segment.lexical for part in parts]
        return counted.hiding([one.vocabulary for one in live if one is not None])

    def _gone(self, work: Compaction) -> Rows:
        """The rows of what ``work`` has written that were deleted since it began."""
        now = {part.segment.name: part for part in self.parts}
        found, first = [], 0
        for part in work.sources:
            live = part.live
            deleted = now[part.segment.name].deleted
            if deleted is not None:
                found.append(np.flatnonzero(deleted[live]) + first)
            first += len(live)
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def sweep(self) -> None:
        """Remove files of segments that the manifest does not name. Raises OSError."""
        (self._root / UNFINISHED).unlink(missing_ok=True)
        names = {segment.name for segment in self.manifest.segments}
        keep = names | self._unfinished
        for folder in (self._root / _SEGMENTS).iterdir():
            if folder.name not in keep:
                shutil.rmtree(folder)
            for file in folder.iterdir() if folder.name in names else ():
                if f"{_SEGMENTS}/{folder.name}/{file.name}" not in self.manifest.files:
                    file.unlink()
        sweep_unneeded(self._root, self.manifest)
        counted = frequencies_folder(self.manifest.files)
        for folder in (self._root / LEXICAL).glob("*/"):
            if f"{LEXICAL}/{folder.name}" != counted:
                shutil.rmtree(folder)

    def write(self, work: Compaction) -> tuple[SegmentEntry, dict[str, FileEntry]]:
        """Write what ``work`` is to write; call it from any thread. Raises OSError."""
        largest = max(work.sources, key=lambda part: part.segment.count)
        return write_segment(
            self._root, work.name, work.count, work.blocks(), self.manifest, self.codecs,
            largest.segment.vectors, self._fail_point, self._disk, work.breathe,
        )  # fmt: skip


class CompactionStopped(Exception):
    """A compaction was stopped; what it was made of is as it was."""


class Compaction:
    """Segments that are made one, as they were when it began; ``write`` may go on beside other writes."""

    def __init__(
        self, stored: StoredParts, sources: Sequence[Part], name: str, everything: bool
    ) -> None:
        self.sources, self.name, self._stored = list(sources), name, stored
        self.everything = everything
        self._stopped = False
        self.entry: SegmentEntry | None = None
        self.files: dict[str, FileEntry] = {}
        for part in self.sources:
            part.segment.uses.retain()

    @property
    def count(self) -> int:
        """How many passages it writes."""
        return sum(part.size.live for part in self.sources)

    def blocks(self) -> Iterator[Encoded]:
        """All passages, some at a time. Raises CompactionStopped."""
        for part in self.sources:
            live = part.live
            for first in range(0, len(live), self._together):
                self.breathe()
                yield part.read(live[first : first + self._together])

    def breathe(self) -> None:
        """Wait as long as it is to, before the next piece of work. Raises CompactionStopped."""
        if self._stopped:
            raise CompactionStopped
        if (pause := self._stored.pause_of_compaction) is not None:
            pause()

    @property
    def _together(self) -> int:
        """How many passages are read at once."""
        return _TOGETHER if self._stored.pause_of_compaction is None else _BETWEEN_PAUSES

    def write(self) -> None:
        """Write the segment, unless it had no passage and there are others.

        Raises OSError, CompactionStopped.
        """
        if self.count or len(self.sources) == self._stored.count:
            self.entry, self.files = self._stored.write(self)

    def stop(self) -> None:
        """Let ``write`` end soon, with CompactionStopped; call it from any thread."""
        self._stopped = True

    def close(self) -> None:
        """Let go of the segments it was made of."""
        self._stored.end(self)
        for part in self.sources:
            part.segment.uses.release()


_TOGETHER, _BETWEEN_PAUSES = 1_024, 64


def _needed(name: str, segments: Sequence[SegmentEntry], frequencies: str | None) -> bool:
    """Whether a generation of ``segments`` with the folder of ``frequencies`` needs the file ``name``."""
    folder, _, file = name.rpartition("/")
    if folder.startswith(f"{LEXICAL}/"):
        return folder == frequencies
    if not folder.startswith(f"{_SEGMENTS}/"):
        return True
    for segment in segments:
        if segment.folder == folder:
            return not file.startswith("deleted-") or segment.deleted == name
    return False
