"""What a worker knows of the others of its server, of which one writes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from lurcher.server.workers.seen import Seen


@dataclass(frozen=True, slots=True)
class Link:
    """Worker ``number`` of ``count``; in ``folder`` they find each other."""

    number: int
    count: int
    folder: Path

    @property
    def writes(self) -> bool:
        """Whether it is the one that writes: the first is."""
        return self.number == 0

    @property
    def writer(self) -> Path:
        """The socket of the one that writes."""
        return self.folder / "writer.sock"

    @property
    def seen(self) -> Seen:
        """What the searches of each know."""
        return Seen(self.folder, self.count)

    def note(self, bundle: Path, sequence: int) -> None:
        """Searches of this worker know all writes of the bundle at ``bundle`` up to ``sequence``."""
        self.seen.note(_name(bundle), self.number, sequence)

    async def reached(self, bundle: Path, sequence: int, seconds: float) -> bool:
        """As ``Seen.reached``, of the bundle at ``bundle``."""
        return await self.seen.reached(_name(bundle), sequence, seconds)


def _name(bundle: Path) -> str:
    return blake2b(os.fsencode(bundle), digest_size=16).hexdigest()
