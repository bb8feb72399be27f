"""A write-ahead log as another process writes it: what has become certain since it was last read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lurcher.bundle.follow_file import FollowReader
from lurcher.bundle.wal_format import Entry, read_entries, read_head
from lurcher.errors import WalCorrupt


@dataclass(frozen=True, slots=True)
class _Place:
    """Read on after write ``sequence``, at byte ``byte`` of the file that begins after write ``file``."""

    file: int
    byte: int
    sequence: int


class LogTail:
    """Reads the log in ``folder`` of the bundle ``collection`` from write ``after`` on."""

    def __init__(self, folder: Path, collection: str, after: int) -> None:
        self._folder, self._collection = folder, collection
        self._follow = FollowReader(folder)
        self._place: _Place | None = None
        self.sequence = after

    @property
    def encoded(self) -> int | None:
        """The last write of which all is encoded that its writer encodes; None where nobody says."""
        return None if self._follow.marks is None else self._follow.marks.encoded

    @property
    def acknowledged(self) -> int | None:
        """The last write that stays; None where nobody says, and whatever is there stays."""
        return None if self._follow.marks is None else self._follow.marks.acknowledged

    def taken(self, sequence: int) -> None:
        """Read on after write ``sequence``: it is taken in, or a generation has it."""
        self.sequence = max(self.sequence, sequence)

    def read(self) -> tuple[list[Entry], list[bytes]]:
        """The acknowledged writes that are not ``taken``, in order, and what was encoded since the last time.

        Writes are missing, and come later, where the files have gone that had them: the bundle has a newer
        generation then. Raises WalCorrupt where acknowledged writes were altered, or OSError.
        """
        encoded = self._follow.read()
        entries, place = self._entries(self.acknowledged)
        if self.acknowledged is None:
            encoded += self._follow.read()
            if self.acknowledged is not None:
                # A writer came meanwhile, and may take back what it was writing.
                entries, place = self._entries(self.acknowledged)
        self._place = place
        new = [one for one in entries if one.sequence > self.sequence]
        if new and new[0].sequence != self.sequence + 1:
            self._place = None  # what was read before was not taken
            return [], encoded
        return new, encoded

    def _entries(self, acknowledged: int | None) -> tuple[list[Entry], _Place | None]:
        """The writes from where it was on, and where to read on."""
        files = sorted(int(path.stem) for path in self._folder.glob("[0-9]*.log"))
        place, found = self._place, list[Entry]()
        if place is None or place.file not in files:
            earlier = [file for file in files if file <= self.sequence]
            if not earlier:
                return [], None
            place = _Place(earlier[-1], 0, earlier[-1])
        while True:
            # What is before another file was synced before that was begun.
            most = acknowledged if place.file == files[-1] else None
            try:
                entries, place = self._of_file(place, most)
            except FileNotFoundError:
                return found, None
            found += entries
            if place.sequence not in files or place.sequence == place.file:
                return found, place
            place = _Place(place.sequence, 0, place.sequence)

    def _of_file(self, place: _Place, most: int | None) -> tuple[list[Entry], _Place]:
        path = self._folder / f"{place.file:012d}.log"
        with path.open("rb") as file:
            file.seek(place.byte)
            raw = file.read()
        start = 0
        if not place.byte:
            found = read_head(path, raw, place.file)
            if found is None:
                return [], place
            head, start = found
            if head.get("collection") != self._collection:
                raise WalCorrupt(path, 0, f"of another bundle ({head.get('collection')!r})")
        entries, end = read_entries(
            path, raw, start, place.sequence + 1, begins=place.byte, most=most
        )
        return entries, _Place(place.file, place.byte + end, place.sequence + len(entries))
