"""A copy of a bundle as it is at one moment, log included, while another process may write it.

A folder of hard links, which takes no room, or one tar file to ship. Files of a bundle are never written to
again, which makes sharing them safe; the log is copied, up to its last whole frame.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.manifest import MANIFEST, Manifest, read_manifest, write_manifest
from lurcher.bundle.sync import sync_all
from lurcher.bundle.wal import WAL, copy_log
from lurcher.errors import BundleError, FieldError, WalCorrupt
from lurcher.index_builder.workspace import publish
from lurcher.models.encoders.merge import link_or_copy

TAR = ".tar"
_TRIES = 5


def snapshot(bundle: Path, out: Path) -> Manifest:
    """Copy ``bundle`` to ``out``, a new folder, or one file if its name ends in .tar.

    Returns the manifest. Raises FieldError if ``out`` exists, BundleError.
    """
    _check_new(out)
    with _work(out) as work:
        made = work / bundle.name
        manifest = _copied(bundle, made)
        if out.suffix != TAR:
            publish(made, out)
            return manifest
        packed = work / "packed"
        with tarfile.open(packed, "w", format=tarfile.PAX_FORMAT) as tar:
            for file in sorted(one for one in made.rglob("*") if one.is_file()):
                tar.add(file, file.relative_to(work).as_posix(), recursive=False)
        sync_all([packed])
        packed.rename(out)
        sync_all([out.parent])
    return manifest


def restore(copy: Path, out: Path) -> Manifest:
    """Make the bundle ``out`` of ``copy``, a folder or a file that ``snapshot`` wrote; its manifest.

    Every file is checked. Raises FieldError if ``out`` exists, BundleError, which leaves nothing.
    """
    _check_new(out)
    with _work(out) as work:
        made = work / "bundle"
        if copy.is_dir():
            _copied(copy, made)
        else:
            made.mkdir()
            _unpacked(copy, made)
        opened = Bundle.open(made)
        opened.close()
        publish(made, out)
    return opened.manifest


def _check_new(out: Path) -> None:
    if os.path.lexists(out):
        raise FieldError("out", f"{out} exists; remove it first, or choose another name")


@contextmanager
def _work(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` that is removed in the end. Raises BundleError for what the disk refuses."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
            yield Path(folder)
    except OSError as error:
        raise BundleError(out, f"cannot be written: {error}") from error


def _copied(bundle: Path, made: Path) -> Manifest:
    """The manifest of the copy ``made`` of one generation of ``bundle``, and of the log after it."""
    for left in reversed(range(_TRIES)):
        manifest = read_manifest(bundle)
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        try:
            for name in manifest.files:
                file = made / name
                file.parent.mkdir(parents=True, exist_ok=True)
                link_or_copy(bundle / name, file)
            copy_log(bundle / WAL, made / WAL, manifest.sequence)
        except (FileNotFoundError, WalCorrupt):
            # A writer has published the next generation meanwhile.
            if not left or read_manifest(bundle).generation == manifest.generation:
                raise
        else:
            write_manifest(made, manifest)
            break
    return manifest


def _unpacked(copy: Path, made: Path) -> None:
    """Unpack the file ``copy`` into the folder ``made``. Raises BundleError."""
    try:
        with tarfile.open(copy, "r:") as tar:
            for member in tar:
                name = PurePosixPath(*PurePosixPath(member.name).parts[1:])
                source = tar.extractfile(member) if member.isreg() else None
                if source is None or name.is_absolute() or ".." in name.parts or not name.parts:
                    reason = f"{member.name!r} is nothing that a snapshot has"
                    raise BundleError(copy, reason)
                target = made / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    shutil.copyfileobj(source, file)
    except (tarfile.TarError, EOFError) as error:
        reason = f"not a file that `lurcher snapshot` wrote: {error}"
        raise BundleError(copy, reason) from error
    if not (made / MANIFEST).is_file():
        raise BundleError(copy, f"no {MANIFEST} in it, so it is no copy of a bundle")
