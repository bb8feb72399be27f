"""What a writer encodes, left beside its log for followers, and for the next writer after a kill."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.fail_points import FailPoint
from lurcher.bundle.follow_file import FollowFile, FollowReader
from lurcher.index_builder.edit.encode import Encoded
from lurcher.index_builder.edit.encoded_texts import (
    EncodedTexts,
    Encodes,
    SharedEncoder,
    key_of,
    packed,
)


class FollowLog:
    """The writer's ``file`` for those that follow, from ``begin`` on."""

    file: FollowFile

    def __init__(self, folder: Path, load: Callable[[Bundle], Encodes]) -> None:
        """Take what a writer before left in ``folder``; ``load`` gives what encodes the rest.

        Raises OSError.
        """
        self._folder, self._load = folder, load
        self._before = FollowReader(folder).read()
        self._known = EncodedTexts()
        for payload in self._before:
            with suppress(ValueError):  # of another version
                self._known.load(payload)

    def encoder(self, bundle: Bundle) -> SharedEncoder:
        """What encodes passages for ``bundle``, and tells followers."""
        return SharedEncoder(
            self._known, key_of(bundle.manifest), lambda: self._load(bundle), self._tell
        )

    def _tell(self, encoded: Encoded, key: bytes) -> None:
        if payload := packed(encoded, key):
            self.file.add(payload)

    def begin(self, acknowledged: int, encoded: int, fail_point: FailPoint) -> FollowFile:
        """Begin the file: as ``FollowFile``, with all that was left before. Raises OSError."""
        self.file = FollowFile(self._folder, acknowledged, encoded, fail_point)
        self.file.forget()
        for payload in self._before:
            self.file.add(payload)
        return self.file

    def replayed(self) -> None:
        """Forget what was left before: all that the log has is in the bundle."""
        self._before, self._known = [], EncodedTexts()
