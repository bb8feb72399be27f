"""The project's one tree of exceptions. Each message says what is wrong, where, and what to do.

::

    LurcherError
    ├── InputError              what the caller gave is at fault
    │   ├── FieldError          a request field, option or setting: .field, .reason
    │   ├── CorpusError         a corpus: .file, .line, .reason
    │   └── VersionConflict     a passage is not what the caller read: .id, .expected, .has
    ├── ModelError              a model folder that cannot be used
    │   ├── ModelNotFound       no such folder or hub name, with what was tried
    │   └── ParityError         an export that does not compute what the original does
    ├── BundleError             a bundle that cannot be used: .path
    │   ├── BundleNotFound      nothing there, or not a bundle
    │   ├── BundleVersionError  written by a newer lurcher
    │   └── BundleCorrupt       a file is missing, cut short or changed: .file
    ├── NoCorpus                something about passages, asked of a server of an encoder alone
    ├── NoCollection            no collection is loaded that a request could be for
    ├── FeedbackCorrupt         a feedback log that cannot be read: .file, .record, .reason
    ├── RemoteError             a server that cannot be used by this client
    │   ├── AccessRefused       it wants another key
    │   └── VersionMismatch     it is of another version, or no Lurcher server at all
    ├── WalCorrupt              a write-ahead log that was altered: .file, .offset, .reason
    └── ServiceError            the service cannot do it now
        ├── CollectionBusy      a collection is being loaded, swapped or unloaded already: .name
        ├── NotReady            no bundle has answered a query yet
        ├── QueueFull           too many requests wait: .retry_after in seconds
        ├── DeadlinePassed      the caller's time ran out before the work was done
        ├── ShardsMissing       shards of a cluster do not answer: .shards
        ├── PartlyWritten       some shards of a cluster have written, others have not: .errors
        ├── ServerUnreachable   no connection to the server, or one that broke
        └── NotKept             no room on the disk, or in memory: nothing was taken
            ├── FeedbackNotKept  of feedback, or its log is gone
            └── WriteNotKept     of a write
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


class LurcherError(Exception):
    """The root: every error this project raises on purpose. All of them can be pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own way calls the class with the message alone, whatever its parameters are.
        return _restored, (type(self), self.args, vars(self))


class InputError(LurcherError):
    """What the caller gave is at fault."""


class FieldError(InputError):
    """A request field, command line option or setting has a value that cannot be used."""

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason
        super().__init__(f"{field}: {reason}")


class CorpusError(InputError):
    """A corpus cannot be read; ``line`` counts from 1 and is None where the whole file is at fault."""

    def __init__(self, file: Path | str, line: int | None, reason: str) -> None:
        self.file = Path(file)
        self.line = line
        self.reason = reason
        where = f"{file}" if line is None else f"{file}, line {line}"
        super().__init__(f"{where}: {reason}")


class VersionConflict(InputError):
    """A passage or document was changed since the caller read it; ``has`` "" means that it is not there."""

    def __init__(self, id_: str, expected: str, has: str) -> None:
        self.id, self.expected, self.has = id_, expected, has
        is_now = f"is version {has} now" if has else "is not there"
        super().__init__(f"{id_!r} {is_now}, not {expected}; read it again")


class ModelError(LurcherError):
    """A model folder cannot be used."""


class ModelNotFound(ModelError):
    """No model under that folder or name."""


class ParityError(ModelError):
    """An exported graph does not compute what its original computes."""


class BundleError(LurcherError):
    """A bundle cannot be used."""

    def __init__(self, path: Path | str, reason: str) -> None:
        self.path = Path(path)
        self.reason = reason
        super().__init__(f"{path}: {reason}")


class BundleNotFound(BundleError):
    """Nothing at the path, or something that is not a bundle."""


class BundleVersionError(BundleError):
    """The bundle was written in a newer format than this version reads."""


class BundleCorrupt(BundleError):
    """A file of the bundle is missing, cut short or changed."""

    def __init__(self, path: Path | str, file: str, reason: str) -> None:
        self.file = file
        super().__init__(path, f"{file}: {reason}")


class NoCorpus(LurcherError):
    """Passages are asked for, but the server has none: it serves an encoder alone."""

    def __init__(self, *_: str) -> None:
        super().__init__(
            "this server has no corpus, only an encoder (encoder_only): it embeds and reranks texts; "
            "`lurcher serve BUNDLE` searches"
        )


class NoCollection(LurcherError):
    """A request names no collection, and the default is not loaded; ``name`` None: there never was one."""

    def __init__(self, name: str | None) -> None:
        self.name = name
        super().__init__(
            "no collection is loaded yet"
            if name is None
            else f"the default collection, {name!r}, is not loaded; name another in the path"
        )


class FeedbackCorrupt(LurcherError):
    """A feedback log cannot be read; ``record`` is the number of the one at fault, None: the whole file."""

    def __init__(self, file: Path | str, record: int | None, reason: str) -> None:
        self.file = Path(file)
        self.record = record
        self.reason = reason
        where = f"{file}" if record is None else f"{file}, record {record}"
        super().__init__(f"{where}: {reason}")


class RemoteError(LurcherError):
    """A server cannot be used by this client."""


class AccessRefused(RemoteError):
    """The server wants a key, or another one."""


class VersionMismatch(RemoteError):
    """The server is of a version that this client does not fit, or no Lurcher server."""


class WalCorrupt(LurcherError):
    """A write-ahead log was altered; ``offset`` is where, in bytes from the file's start."""

    def __init__(self, file: Path | str, offset: int, reason: str) -> None:
        self.file = Path(file)
        self.offset = offset
        self.reason = reason
        super().__init__(f"{file}, byte {offset}: {reason}; bring the file back from a copy")


class ServiceError(LurcherError):
    """The service cannot do it now; a later try may work."""


class CollectionBusy(ServiceError):
    """A collection is being loaded, swapped or unloaded already, and one change of it goes at a time."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"{name!r} is being changed already; try again when that is done")


class NotReady(ServiceError):
    """No query has been answered yet."""


class QueueFull(ServiceError):
    """Too many requests wait; ``retry_after`` is in whole seconds."""

    def __init__(self, waiting: int, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(f"{waiting} are waiting already; try again in {retry_after} s")


class DeadlinePassed(ServiceError):
    """The caller's time ran out before the work was done."""


class ShardsMissing(ServiceError):
    """Some ``shards`` of a cluster, by number, do not answer, and the caller wants all or nothing."""

    def __init__(self, shards: list[int], every: int) -> None:
        self.shards = shards
        numbers = ", ".join(map(str, shards))
        super().__init__(
            f"{len(shards)} of {every} shards do not answer ({numbers}); try again, or take the hits of "
            "the others with `partial: true`"
            if len(shards) < every
            else f"none of {every} shards answers; try again"
        )


class PartlyWritten(ServiceError):
    """Some shards of a cluster have written their parts of a request, and others have not: these errors."""

    def __init__(self, errors: Mapping[int, LurcherError], parts: int) -> None:
        self.errors = errors
        first = next(iter(errors))
        super().__init__(
            f"{parts - len(errors)} of {parts} shards have written their parts of the request; shard {first} "
            f"has not: {errors[first]}. Send it again: nothing is done twice, with the same Idempotency-Key "
            "if it had one"
        )


class ServerUnreachable(ServiceError):
    """There is no connection to the server, or it broke."""


class NotKept(ServiceError):
    """There is no room, in memory or on the disk; nothing of the request was taken."""


class FeedbackNotKept(NotKept):
    """There is no room for feedback, or its log is gone; none of the request's was taken."""


class WriteNotKept(NotKept):
    """There is no room for a write on the disk; nothing of the request was taken."""


def _restored(
    kind: type[LurcherError], args: tuple[Any, ...], fields: dict[str, Any]
) -> LurcherError:
    """The error of that ``kind`` with these arguments and fields, without a call of its ``__init__``."""
    error = kind.__new__(kind, *args)
    vars(error).update(fields)
    return error
